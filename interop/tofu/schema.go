package main

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// The document of provider schemas; crates/core/tofu/src/check/schema.rs says what is in it.
type document struct {
	Providers map[string]provider `json:"providers"`
}

type provider struct {
	Source    string          `json:"source"`
	Resources map[string]body `json:"resources"`
	Data      map[string]body `json:"data"`
	Provider  *body           `json:"provider"`
}

type body struct {
	Attrs  map[string]attribute `json:"attrs"`
	Blocks map[string]block     `json:"blocks"`
}

type block struct {
	body
	Nest string `json:"nest"`
	Min  int64  `json:"min"`
	Max  *int64 `json:"max"`
}

// "MODE TYPE", or an object for values made of objects.
type attribute struct {
	Mode   string
	Kind   string
	Nest   string
	Strict bool
	Attrs  map[string]attribute
}

func (a *attribute) UnmarshalJSON(raw []byte) error {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		a.Mode, a.Kind, _ = strings.Cut(text, " ")
		return nil
	}
	var object struct {
		Mode   string               `json:"mode"`
		Nest   string               `json:"nest"`
		Strict bool                 `json:"strict"`
		Attrs  map[string]attribute `json:"attrs"`
	}
	if err := json.Unmarshal(raw, &object); err != nil {
		return err
	}
	a.Mode, a.Nest, a.Strict, a.Attrs = object.Mode, object.Nest, object.Strict, object.Attrs
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}

func plainType(text string) tftypes.Type {
	if outer, rest, found := strings.Cut(text, "("); found {
		inner := plainType(strings.TrimSuffix(rest, ")"))
		switch outer {
		case "list":
			return tftypes.List{ElementType: inner}
		case "set":
			return tftypes.Set{ElementType: inner}
		case "map":
			return tftypes.Map{ElementType: inner}
		}
	}
	switch text {
	case "string":
		return tftypes.String
	case "number":
		return tftypes.Number
	case "bool":
		return tftypes.Bool
	case "any":
		return tftypes.DynamicPseudoType
	}
	panic(fmt.Sprintf("unknown type %q", text))
}

// The type of an attribute whose objects must be written whole.
func objectType(a attribute) tftypes.Type {
	if a.Kind != "" {
		return plainType(a.Kind)
	}
	types := map[string]tftypes.Type{}
	for name, inner := range a.Attrs {
		types[name] = objectType(inner)
	}
	object := tftypes.Object{AttributeTypes: types}
	switch a.Nest {
	case "list":
		return tftypes.List{ElementType: object}
	case "set":
		return tftypes.Set{ElementType: object}
	case "map":
		return tftypes.Map{ElementType: object}
	}
	return object
}

func schemaAttributes(attrs map[string]attribute) []*tfprotov6.SchemaAttribute {
	var list []*tfprotov6.SchemaAttribute
	for _, name := range sortedKeys(attrs) {
		a := attrs[name]
		out := &tfprotov6.SchemaAttribute{
			Name:     name,
			Required: a.Mode == "r",
			Optional: a.Mode == "o" || a.Mode == "oc",
			Computed: a.Mode == "c" || a.Mode == "oc",
		}
		// The dumps do not say what is write-only; the name does.
		out.WriteOnly = strings.HasSuffix(name, "_wo") && out.Optional
		switch {
		case a.Kind != "" || a.Strict || a.Mode == "c":
			out.Type = objectType(a)
		default:
			modes := map[string]tfprotov6.SchemaObjectNestingMode{
				"single": tfprotov6.SchemaObjectNestingModeSingle,
				"list":   tfprotov6.SchemaObjectNestingModeList,
				"set":    tfprotov6.SchemaObjectNestingModeSet,
				"map":    tfprotov6.SchemaObjectNestingModeMap,
			}
			out.NestedType = &tfprotov6.SchemaObject{Attributes: schemaAttributes(a.Attrs), Nesting: modes[a.Nest]}
		}
		list = append(list, out)
	}
	return list
}

func schemaBlock(b body, meta bool) *tfprotov6.SchemaBlock {
	out := &tfprotov6.SchemaBlock{Attributes: schemaAttributes(b.Attrs)}
	if _, found := b.Attrs["id"]; meta && !found {
		out.Attributes = append(out.Attributes, &tfprotov6.SchemaAttribute{Name: "id", Type: tftypes.String, Computed: true})
	}
	modes := map[string]tfprotov6.SchemaNestedBlockNestingMode{
		"single": tfprotov6.SchemaNestedBlockNestingModeSingle,
		"group":  tfprotov6.SchemaNestedBlockNestingModeGroup,
		"list":   tfprotov6.SchemaNestedBlockNestingModeList,
		"set":    tfprotov6.SchemaNestedBlockNestingModeSet,
		"map":    tfprotov6.SchemaNestedBlockNestingModeMap,
	}
	for _, name := range sortedKeys(b.Blocks) {
		inner := b.Blocks[name]
		nested := &tfprotov6.SchemaNestedBlock{TypeName: name, Block: schemaBlock(inner.body, false), Nesting: modes[inner.Nest]}
		if inner.Nest == "list" || inner.Nest == "set" {
			nested.MinItems = inner.Min
			if inner.Max != nil {
				nested.MaxItems = *inner.Max
			}
		}
		out.BlockTypes = append(out.BlockTypes, nested)
	}
	return out
}

func schemas(bodies map[string]body) map[string]*tfprotov6.Schema {
	out := map[string]*tfprotov6.Schema{}
	for name, inner := range bodies {
		out[name] = &tfprotov6.Schema{Block: schemaBlock(inner, true)}
	}
	return out
}
