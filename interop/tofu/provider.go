package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// A provider that has a real one's schema and makes nothing. What it does not have is never called.
type standIn struct {
	tfprotov6.ProviderServer
	config    *tfprotov6.Schema
	resources map[string]*tfprotov6.Schema
	data      map[string]*tfprotov6.Schema
	made      atomic.Int64
}

func newStandIn(p provider) *standIn {
	config := &tfprotov6.Schema{Block: &tfprotov6.SchemaBlock{}}
	if p.Provider != nil {
		own := *p.Provider
		delete(own.Attrs, "alias")
		config.Block = schemaBlock(own, false)
	} else {
		// The dumps of oci and hcloud have no provider block.
		config.Block.Attributes = []*tfprotov6.SchemaAttribute{{Name: "region", Type: tftypes.String, Optional: true}}
	}
	return &standIn{config: config, resources: schemas(p.Resources), data: schemas(p.Data)}
}

func (s *standIn) GetMetadata(context.Context, *tfprotov6.GetMetadataRequest) (*tfprotov6.GetMetadataResponse, error) {
	out := &tfprotov6.GetMetadataResponse{ServerCapabilities: &tfprotov6.ServerCapabilities{}}
	for name := range s.resources {
		out.Resources = append(out.Resources, tfprotov6.ResourceMetadata{TypeName: name})
	}
	for name := range s.data {
		out.DataSources = append(out.DataSources, tfprotov6.DataSourceMetadata{TypeName: name})
	}
	return out, nil
}

func (s *standIn) GetProviderSchema(context.Context, *tfprotov6.GetProviderSchemaRequest) (*tfprotov6.GetProviderSchemaResponse, error) {
	return &tfprotov6.GetProviderSchemaResponse{
		ServerCapabilities: &tfprotov6.ServerCapabilities{PlanDestroy: false},
		Provider:           s.config,
		ResourceSchemas:    s.resources,
		DataSourceSchemas:  s.data,
	}, nil
}

func (s *standIn) GetResourceIdentitySchemas(context.Context, *tfprotov6.GetResourceIdentitySchemasRequest) (*tfprotov6.GetResourceIdentitySchemasResponse, error) {
	return &tfprotov6.GetResourceIdentitySchemasResponse{}, nil
}

func (s *standIn) ValidateProviderConfig(_ context.Context, in *tfprotov6.ValidateProviderConfigRequest) (*tfprotov6.ValidateProviderConfigResponse, error) {
	return &tfprotov6.ValidateProviderConfigResponse{PreparedConfig: in.Config}, nil
}

func (s *standIn) ConfigureProvider(context.Context, *tfprotov6.ConfigureProviderRequest) (*tfprotov6.ConfigureProviderResponse, error) {
	return &tfprotov6.ConfigureProviderResponse{}, nil
}

func (s *standIn) StopProvider(context.Context, *tfprotov6.StopProviderRequest) (*tfprotov6.StopProviderResponse, error) {
	return &tfprotov6.StopProviderResponse{}, nil
}

// computedOnly refuses what only a provider may set: OpenTofu itself leaves that to the provider.
func computedOnly(schema *tfprotov6.Schema, config *tfprotov6.DynamicValue) []*tfprotov6.Diagnostic {
	value, err := config.Unmarshal(schema.ValueType())
	if err != nil {
		return fault(err)
	}
	var object map[string]tftypes.Value
	if err := value.As(&object); err != nil {
		return fault(err)
	}
	for _, attribute := range schema.Block.Attributes {
		if attribute.Computed && !attribute.Optional && !object[attribute.Name].IsNull() {
			return fault(fmt.Errorf("%s is computed and cannot be set", attribute.Name))
		}
	}
	return nil
}

func fault(err error) []*tfprotov6.Diagnostic {
	return []*tfprotov6.Diagnostic{{Severity: tfprotov6.DiagnosticSeverityError, Summary: err.Error()}}
}

func (s *standIn) ValidateResourceConfig(_ context.Context, in *tfprotov6.ValidateResourceConfigRequest) (*tfprotov6.ValidateResourceConfigResponse, error) {
	return &tfprotov6.ValidateResourceConfigResponse{Diagnostics: computedOnly(s.resources[in.TypeName], in.Config)}, nil
}

func (s *standIn) ValidateDataResourceConfig(_ context.Context, in *tfprotov6.ValidateDataResourceConfigRequest) (*tfprotov6.ValidateDataResourceConfigResponse, error) {
	return &tfprotov6.ValidateDataResourceConfigResponse{Diagnostics: computedOnly(s.data[in.TypeName], in.Config)}, nil
}

func (s *standIn) UpgradeResourceState(_ context.Context, in *tfprotov6.UpgradeResourceStateRequest) (*tfprotov6.UpgradeResourceStateResponse, error) {
	kind := s.resources[in.TypeName].ValueType()
	value, err := in.RawState.Unmarshal(kind)
	if err != nil {
		return &tfprotov6.UpgradeResourceStateResponse{Diagnostics: fault(err)}, nil
	}
	state, err := tfprotov6.NewDynamicValue(kind, value)
	if err != nil {
		return &tfprotov6.UpgradeResourceStateResponse{Diagnostics: fault(err)}, nil
	}
	return &tfprotov6.UpgradeResourceStateResponse{UpgradedState: &state}, nil
}

func (s *standIn) ReadResource(_ context.Context, in *tfprotov6.ReadResourceRequest) (*tfprotov6.ReadResourceResponse, error) {
	return &tfprotov6.ReadResourceResponse{NewState: in.CurrentState, Private: in.Private}, nil
}

func (s *standIn) PlanResourceChange(_ context.Context, in *tfprotov6.PlanResourceChangeRequest) (*tfprotov6.PlanResourceChangeResponse, error) {
	out := &tfprotov6.PlanResourceChangeResponse{PlannedState: in.ProposedNewState, UnsafeToUseLegacyTypeSystem: true}
	schema := s.resources[in.TypeName]
	prior, err := in.PriorState.Unmarshal(schema.ValueType())
	if err != nil {
		out.Diagnostics = fault(err)
		return out, nil
	}
	proposed, err := in.ProposedNewState.Unmarshal(schema.ValueType())
	if err == nil {
		// What is there already keeps what was computed when it was made.
		computed := unknown
		if !prior.IsNull() {
			computed = nothing
		}
		out.PlannedState, err = made(schema, proposed, computed)
	}
	if err != nil {
		out.Diagnostics = fault(err)
	}
	return out, nil
}

func made(schema *tfprotov6.Schema, value tftypes.Value, computed func(string, tftypes.Type) tftypes.Value) (*tfprotov6.DynamicValue, error) {
	whole, err := complete(value, schema.Block, computed)
	if err != nil {
		return nil, err
	}
	state, err := tfprotov6.NewDynamicValue(schema.ValueType(), whole)
	return &state, err
}

func (s *standIn) ApplyResourceChange(_ context.Context, in *tfprotov6.ApplyResourceChangeRequest) (*tfprotov6.ApplyResourceChangeResponse, error) {
	out := &tfprotov6.ApplyResourceChangeResponse{NewState: in.PlannedState, UnsafeToUseLegacyTypeSystem: true}
	kind := s.resources[in.TypeName].ValueType()
	planned, err := in.PlannedState.Unmarshal(kind)
	if err == nil {
		seed := fmt.Sprintf("%s/%d", in.TypeName, s.made.Add(1))
		var settled tftypes.Value
		if settled, err = settle(planned, seed); err == nil {
			var state tfprotov6.DynamicValue
			state, err = tfprotov6.NewDynamicValue(kind, settled)
			out.NewState = &state
		}
	}
	if err != nil {
		out.Diagnostics = fault(err)
	}
	return out, nil
}

func (s *standIn) ReadDataSource(_ context.Context, in *tfprotov6.ReadDataSourceRequest) (*tfprotov6.ReadDataSourceResponse, error) {
	out := &tfprotov6.ReadDataSourceResponse{}
	schema := s.data[in.TypeName]
	config, err := in.Config.Unmarshal(schema.ValueType())
	if err == nil {
		out.State, err = made(schema, config, invented(in.TypeName))
	}
	if err != nil {
		out.Diagnostics = fault(err)
	}
	return out, nil
}
