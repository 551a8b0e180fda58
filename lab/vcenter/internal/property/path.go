// Package property reads dotted property paths out of managed objects. It decides what is a valid
// path, what is unset and what has a value, and changes nothing.
package property

import (
	"path"
	"reflect"
	"strings"
	"unicode"

	"github.com/vmware/govmomi/vim25/mo"
)

// hotPlug limits exist in the API only while hot-add makes them meaningful, so 0 means "unset".
var unsetWhenZero = map[string]bool{
	"config.hotPlugMemoryLimit":         true,
	"config.hotPlugMemoryIncrementSize": true,
}

// Managed finds the mo.X value inside a simulator object: the outermost struct of package mo,
// reached through the first (embedded) fields. ok is false when there is none.
func Managed(obj any) (value reflect.Value, ok bool) {
	v := reflect.ValueOf(obj)
	for {
		for v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		if v.Kind() != reflect.Struct {
			return reflect.Value{}, false
		}
		if path.Base(v.Type().PkgPath()) == "mo" {
			return v, true
		}
		if v.NumField() == 0 {
			return reflect.Value{}, false
		}
		v = v.Field(0)
	}
}

// Is tells whether kind is the API type name or one that inherits from it.
func Is(kind reflect.Type, name string) bool {
	if kind.Name() == name || (name == "DistributedVirtualSwitch" && kind.Name() == "VmwareDistributedVirtualSwitch") {
		return true
	}
	for i := range kind.NumField() {
		if field := kind.Field(i); field.Anonymous && Is(field.Type, name) {
			return true
		}
	}
	return false
}

// Valid tells whether the API knows the path on this type. What lies behind an interface is only
// known with a value, so everything below one is accepted.
func Valid(kind reflect.Type, spec string) bool {
	var field mo.Field
	if !field.FromString(spec) || field.Path == "" || field.Path == "self" {
		return false
	}
	for _, name := range strings.Split(field.Path, ".") {
		for kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}
		switch kind.Kind() {
		case reflect.Interface:
			return true
		case reflect.Struct:
		default:
			return false
		}
		next, found := kind.FieldByName(goName(name))
		if !found || next.Anonymous {
			return false
		}
		kind = next.Type
	}
	return field.Key == nil || kind.Kind() == reflect.Slice
}

// Value reads the path. ok is false when the property is unset or the path does not exist.
func Value(obj reflect.Value, spec string) (value reflect.Value, ok bool) {
	var field mo.Field
	if !field.FromString(spec) {
		return reflect.Value{}, false
	}
	value, ok = walk(obj, field.Path)
	if !ok || field.Key == nil {
		return value, ok && !(unsetWhenZero[spec] && value.IsZero())
	}
	item, ok := keyed(value, field.Key)
	if !ok || field.Item == "" {
		return item, ok
	}
	return walk(item, field.Item)
}

func walk(v reflect.Value, dotted string) (reflect.Value, bool) {
	for _, name := range strings.Split(dotted, ".") {
		for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
			if v.IsNil() {
				return reflect.Value{}, false
			}
			v = v.Elem()
		}
		if v.Kind() != reflect.Struct {
			return reflect.Value{}, false
		}
		parent := v.Type()
		v = v.FieldByName(goName(name))
		if !v.IsValid() || unset(parent, v) {
			return reflect.Value{}, false
		}
	}
	return v, true
}

// unset: a managed object's own array is always there, if empty; a data object's is optional.
func unset(parent reflect.Type, v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return v.IsNil()
	case reflect.String:
		return v.Len() == 0
	case reflect.Slice:
		return v.IsNil() && path.Base(parent.PkgPath()) != "mo"
	default:
		return false
	}
}

func keyed(list reflect.Value, key any) (reflect.Value, bool) {
	if list.Kind() != reflect.Slice {
		return reflect.Value{}, false
	}
	for i := range list.Len() {
		item := list.Index(i)
		for item.Kind() == reflect.Pointer || item.Kind() == reflect.Interface {
			item = item.Elem()
		}
		if item.Kind() != reflect.Struct {
			return reflect.Value{}, false
		}
		field := item.FieldByName("Key")
		if field.IsValid() && field.Interface() == key {
			return item, true
		}
	}
	return reflect.Value{}, false
}

func goName(name string) string {
	if name == "" {
		return ""
	}
	runes := []rune(name)
	runes[0] = unicode.ToUpper(runes[0])
	return string(runes)
}
