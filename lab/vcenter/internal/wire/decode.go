// Package wire turns SOAP bytes into calls and answers into SOAP bytes, and knows nothing else.
package wire

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// Fetch is how pyVmomi reads one property of one object; govmomi's public types do not contain it.
type Fetch struct {
	This types.ManagedObjectReference `xml:"_this"`
	Prop string                       `xml:"prop"`
}

// Request is one decoded call: Body is a pointer to the govmomi request type named Method.
type Request struct {
	Method string
	This   types.ManagedObjectReference
	Body   any
	Raw    []byte
}

var (
	errNotACall = errors.New("the request body is not a method call")
	baseTypes   = types.TypeFunc()
)

func init() {
	types.Add("Fetch", reflect.TypeOf((*Fetch)(nil)).Elem())
	// pyVmomi writes xsi:type="ManagedObject" where the API says anyType and the value is a reference
	// (removeKey of a cluster override), so the name has to lead to the reference type.
	types.Add("ManagedObject", reflect.TypeOf((*types.ManagedObjectReference)(nil)).Elem())
}

// Decode reads one SOAP envelope. Every malformed input is an error, never a panic: the decoder
// below assumes a well-formed method element and would otherwise take the process down.
func Decode(data []byte) (req *Request, err error) {
	defer func() {
		if p := recover(); p != nil {
			req, err = nil, fmt.Errorf("%w: %v", errNotACall, p)
		}
	}()
	method, err := simulator.UnmarshalBody(typeByName, data)
	if err != nil {
		return nil, err
	}
	return &Request{Method: method.Name, This: method.This, Body: method.Body, Raw: data}, nil
}

// typeByName resolves an xsi:type, with or without the namespace prefix some clients put before it.
func typeByName(name string) (reflect.Type, bool) {
	if kind, ok := baseTypes(name); ok {
		return kind, true
	}
	if _, local, found := strings.Cut(name, ":"); found {
		return baseTypes(local)
	}
	return nil, false
}
