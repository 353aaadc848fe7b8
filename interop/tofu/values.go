package main

import (
	"fmt"
	"hash/fnv"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// complete goes over a value with its schema and replaces, where the provider computes something and the
// configuration says nothing, null by what computed makes of the type.
func complete(value tftypes.Value, block *tfprotov6.SchemaBlock, computed func(string, tftypes.Type) tftypes.Value) (tftypes.Value, error) {
	if value.IsNull() || !value.IsKnown() {
		return value, nil
	}
	var object map[string]tftypes.Value
	if err := value.As(&object); err != nil {
		return value, err
	}
	if err := completeAttributes(object, block.Attributes, computed); err != nil {
		return value, err
	}
	for _, nested := range block.BlockTypes {
		inner := func(one tftypes.Value) (tftypes.Value, error) { return complete(one, nested.Block, computed) }
		made, err := each(object[nested.TypeName], inner)
		if err != nil {
			return value, err
		}
		object[nested.TypeName] = made
	}
	return tftypes.NewValue(value.Type(), object), nil
}

func completeAttributes(object map[string]tftypes.Value, attributes []*tfprotov6.SchemaAttribute, computed func(string, tftypes.Type) tftypes.Value) error {
	for _, attribute := range attributes {
		value := object[attribute.Name]
		if attribute.WriteOnly {
			// It is handed over and never given back.
			object[attribute.Name] = tftypes.NewValue(value.Type(), nil)
			continue
		}
		if value.IsNull() && attribute.Computed {
			object[attribute.Name] = computed(attribute.Name, value.Type())
			continue
		}
		if attribute.NestedType == nil {
			continue
		}
		inner := func(one tftypes.Value) (tftypes.Value, error) {
			if one.IsNull() || !one.IsKnown() {
				return one, nil
			}
			var fields map[string]tftypes.Value
			if err := one.As(&fields); err != nil {
				return one, err
			}
			if err := completeAttributes(fields, attribute.NestedType.Attributes, computed); err != nil {
				return one, err
			}
			return tftypes.NewValue(one.Type(), fields), nil
		}
		made, err := each(value, inner)
		if err != nil {
			return err
		}
		object[attribute.Name] = made
	}
	return nil
}

// each applies change to an object, or to every object of a list, set or map.
func each(value tftypes.Value, change func(tftypes.Value) (tftypes.Value, error)) (tftypes.Value, error) {
	if value.IsNull() || !value.IsKnown() {
		return value, nil
	}
	switch {
	case value.Type().Is(tftypes.List{}) || value.Type().Is(tftypes.Set{}):
		var list []tftypes.Value
		if err := value.As(&list); err != nil {
			return value, err
		}
		for i := range list {
			made, err := change(list[i])
			if err != nil {
				return value, err
			}
			list[i] = made
		}
		return tftypes.NewValue(value.Type(), list), nil
	case value.Type().Is(tftypes.Map{}):
		var entries map[string]tftypes.Value
		if err := value.As(&entries); err != nil {
			return value, err
		}
		for key := range entries {
			made, err := change(entries[key])
			if err != nil {
				return value, err
			}
			entries[key] = made
		}
		return tftypes.NewValue(value.Type(), entries), nil
	}
	return change(value)
}

func unknown(_ string, kind tftypes.Type) tftypes.Value {
	return tftypes.NewValue(kind, tftypes.UnknownValue)
}

func nothing(_ string, kind tftypes.Type) tftypes.Value {
	return tftypes.NewValue(kind, nil)
}

// invented makes up values that are the same every time. Text is a number, so that it is an id anywhere.
func invented(seed string) func(string, tftypes.Type) tftypes.Value {
	var make func(name string, kind tftypes.Type) tftypes.Value
	make = func(name string, kind tftypes.Type) tftypes.Value {
		hash := fnv.New32a()
		_, _ = hash.Write([]byte(seed + "/" + name))
		number := int64(hash.Sum32()%900000 + 100000)
		switch {
		case kind.Is(tftypes.String):
			return tftypes.NewValue(kind, fmt.Sprint(number))
		case kind.Is(tftypes.Number):
			return tftypes.NewValue(kind, number)
		case kind.Is(tftypes.Bool):
			return tftypes.NewValue(kind, false)
		case kind.Is(tftypes.List{}), kind.Is(tftypes.Set{}), kind.Is(tftypes.Tuple{}):
			return tftypes.NewValue(kind, []tftypes.Value{})
		case kind.Is(tftypes.Map{}):
			return tftypes.NewValue(kind, map[string]tftypes.Value{})
		case kind.Is(tftypes.Object{}):
			fields := map[string]tftypes.Value{}
			for field, inner := range kind.(tftypes.Object).AttributeTypes {
				fields[field] = make(name+"."+field, inner)
			}
			return tftypes.NewValue(kind, fields)
		}
		return tftypes.NewValue(tftypes.String, fmt.Sprint(number))
	}
	return make
}

// settle replaces what is still unknown.
func settle(value tftypes.Value, seed string) (tftypes.Value, error) {
	return tftypes.Transform(value, func(path *tftypes.AttributePath, one tftypes.Value) (tftypes.Value, error) {
		if one.IsKnown() {
			return one, nil
		}
		return invented(seed)(path.String(), one.Type()), nil
	})
}
