package wire

import (
	"bytes"
	"reflect"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vim25/xml"
)

const (
	namespace = "urn:vim25"
	head      = xml.Header +
		`<soapenv:Envelope xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/"` +
		` xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"` +
		` xmlns:xsd="http://www.w3.org/2001/XMLSchema"` +
		` xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>`
	tail = `</soapenv:Body></soapenv:Envelope>`
)

// Raw is a result that brings its own XML for the inside of the response element.
type Raw interface{ RawXML() string }

// Response encodes the answer to method. result is the whole response type (its name ends in
// "Response"), the bare returnval, or nil for a void method.
func Response(method string, result any) ([]byte, error) {
	var out bytes.Buffer
	out.WriteString(head)
	enc := xml.NewEncoder(&out)
	start := xml.StartElement{Name: xml.Name{Space: namespace, Local: method + "Response"}}
	if raw, ok := result.(Raw); ok {
		out.WriteString(`<` + start.Name.Local + ` xmlns="` + namespace + `">` + raw.RawXML() + `</` + start.Name.Local + `>`)
	} else if isResponse(result) {
		if err := enc.EncodeElement(result, start); err != nil {
			return nil, err
		}
	} else if err := encodeReturn(enc, start, result); err != nil {
		return nil, err
	}
	if err := enc.Flush(); err != nil {
		return nil, err
	}
	out.WriteString(tail)
	return out.Bytes(), nil
}

func isResponse(result any) bool {
	if result == nil {
		return false
	}
	kind := reflect.TypeOf(result)
	if kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	return strings.HasSuffix(kind.Name(), "Response")
}

func encodeReturn(enc *xml.Encoder, start xml.StartElement, result any) error {
	if err := enc.EncodeToken(start); err != nil {
		return err
	}
	if result != nil {
		name := xml.StartElement{Name: xml.Name{Local: "returnval"}}
		if err := enc.EncodeElement(result, name); err != nil {
			return err
		}
	}
	return enc.EncodeToken(start.End())
}

// Fault encodes a fault with the message a person reads.
func Fault(message string, fault types.BaseMethodFault) ([]byte, error) {
	detail, err := faultDetail(fault)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	out.WriteString(head)
	out.WriteString(`<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>`)
	if err := xml.EscapeText(&out, []byte(message)); err != nil {
		return nil, err
	}
	out.WriteString(`</faultstring><detail>`)
	out.Write(detail)
	out.WriteString(`</detail></soapenv:Fault>`)
	out.WriteString(tail)
	return out.Bytes(), nil
}

func faultDetail(fault types.BaseMethodFault) ([]byte, error) {
	kind := FaultName(fault)
	var out bytes.Buffer
	enc := xml.NewEncoder(&out)
	start := xml.StartElement{
		Name: xml.Name{Local: kind + "Fault"},
		Attr: []xml.Attr{
			{Name: xml.Name{Local: "xmlns"}, Value: namespace},
			{Name: xml.Name{Local: "xsi:type"}, Value: kind},
		},
	}
	if err := enc.EncodeElement(fault, start); err != nil {
		return nil, err
	}
	if err := enc.Flush(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// FaultName is the API name of a fault: "InvalidPowerState" for *types.InvalidPowerState.
func FaultName(fault types.BaseMethodFault) string {
	kind := reflect.TypeOf(fault)
	for kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	return kind.Name()
}

// NewFault makes an empty fault from its API name; ok is false when there is no such fault.
func NewFault(name string) (types.BaseMethodFault, bool) {
	kind, ok := baseTypes(name)
	if !ok {
		return nil, false
	}
	fault, ok := reflect.New(kind).Interface().(types.BaseMethodFault)
	return fault, ok
}
