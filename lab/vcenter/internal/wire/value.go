package wire

import (
	"bytes"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vim25/xml"
)

// Value encodes one property value as the element <val xsi:type="...">...</val>. A property is
// encoded once and then both compared with what was last sent and sent, so the scalars that make
// up most of an inventory do not go through the reflecting encoder.
func Value(v reflect.Value) (string, error) {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	switch x := v.Interface().(type) {
	case string:
		return scalar("xsd:string", escape(x)), nil
	case bool:
		return scalar("xsd:boolean", strconv.FormatBool(x)), nil
	case int32:
		return scalar("xsd:int", strconv.FormatInt(int64(x), 10)), nil
	case int64:
		return scalar("xsd:long", strconv.FormatInt(x, 10)), nil
	case types.ManagedObjectReference:
		return `<val type="` + escape(x.Type) + `" xsi:type="ManagedObjectReference">` + escape(x.Value) + `</val>`, nil
	}
	if v.Kind() == reflect.String {
		return scalar(v.Type().Name(), escape(v.String())), nil
	}
	if v.Kind() == reflect.Slice {
		array, err := arrayOf(v)
		if err != nil {
			return "", err
		}
		return reflected(array)
	}
	return reflected(v.Interface())
}

func scalar(kind, text string) string {
	return `<val xsi:type="` + kind + `">` + text + `</val>`
}

func escape(text string) string {
	if !strings.ContainsAny(text, "<>&\"'\r\n\t") {
		return text
	}
	var out bytes.Buffer
	// EscapeText only fails when the writer does, and a buffer never does.
	_ = xml.EscapeText(&out, []byte(text))
	return out.String()
}

// The encoder declares the schema's namespace anew wherever a type is named. The envelope declares
// it once, and without the repetition answers are a third shorter. In text a quote is escaped, so
// only attributes are ever replaced.
var shorten = strings.NewReplacer(
	` xmlns:_XMLSchema-instance="http://www.w3.org/2001/XMLSchema-instance"`, "",
	` _XMLSchema-instance:type="`, ` xsi:type="`,
)

type holder struct {
	Val any `xml:"val,typeattr"`
}

func reflected(v any) (string, error) {
	var out bytes.Buffer
	enc := xml.NewEncoder(&out)
	if err := enc.EncodeElement(holder{v}, xml.StartElement{Name: xml.Name{Local: "h"}}); err != nil {
		return "", err
	}
	if err := enc.Flush(); err != nil {
		return "", err
	}
	text := shorten.Replace(out.String())
	return text[len("<h>") : len(text)-len("</h>")], nil
}

// arrayOf wraps a slice in the ArrayOfX type that the API sends for it.
func arrayOf(v reflect.Value) (any, error) {
	element := v.Type().Elem()
	name := strings.TrimPrefix(element.Name(), "Base")
	switch element.Kind() {
	case reflect.String:
		if name == "string" {
			name = "String"
		}
	case reflect.Uint8:
		name = "Byte"
	case reflect.Int16:
		name = "Short"
	case reflect.Int32:
		name = "Int"
	case reflect.Int64:
		name = "Long"
	}
	kind, ok := baseTypes("ArrayOf" + name)
	if !ok {
		return nil, fmt.Errorf("no array type for []%s", element)
	}
	array := reflect.New(kind)
	array.Elem().FieldByName(name).Set(v)
	return array.Interface(), nil
}
