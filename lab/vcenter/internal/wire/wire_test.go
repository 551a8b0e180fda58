package wire

import (
	"reflect"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"
)

func TestAPyVmomiReferenceIsAReference(t *testing.T) {
	request, err := Decode([]byte(`<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"` +
		` xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><e:Body>` +
		`<ReconfigureComputeResource_Task xmlns="urn:vim25"><_this type="ClusterComputeResource">domain-c1</_this>` +
		`<spec xsi:type="ClusterConfigSpecEx"><dasVmConfigSpec><operation>remove</operation>` +
		`<removeKey type="VirtualMachine" xsi:type="ManagedObject">vm-7</removeKey></dasVmConfigSpec></spec>` +
		`<modify>true</modify></ReconfigureComputeResource_Task></e:Body></e:Envelope>`))
	if err != nil {
		t.Fatal(err)
	}
	body, ok := request.Body.(*types.ReconfigureComputeResource_Task)
	if !ok {
		t.Fatalf("decoded %T", request.Body)
	}
	spec, ok := body.Spec.(*types.ClusterConfigSpecEx)
	if !ok {
		t.Fatalf("decoded %T", body.Spec)
	}
	want := types.ManagedObjectReference{Type: "VirtualMachine", Value: "vm-7"}
	if got := spec.DasVmConfigSpec[0].RemoveKey; got != want {
		t.Errorf("removeKey is %#v", got)
	}
}

func TestValuesCarryTheirType(t *testing.T) {
	for _, step := range []struct {
		value any
		want  string
	}{
		{"a<b", `<val xsi:type="xsd:string">a&lt;b</val>`},
		{true, `<val xsi:type="xsd:boolean">true</val>`},
		{int32(-3), `<val xsi:type="xsd:int">-3</val>`},
		{int64(1 << 40), `<val xsi:type="xsd:long">1099511627776</val>`},
		{types.ManagedEntityStatusRed, `<val xsi:type="ManagedEntityStatus">red</val>`},
		{types.ManagedObjectReference{Type: "HostSystem", Value: "host-1"}, `<val type="HostSystem" xsi:type="ManagedObjectReference">host-1</val>`},
		{[]string{"x"}, `<val xsi:type="ArrayOfString"><string>x</string></val>`},
		{[]int32{4}, `<val xsi:type="ArrayOfInt"><int>4</int></val>`},
		{
			[]types.BaseOptionValue{&types.OptionValue{Key: "k", Value: ` _XMLSchema-instance:type="x`}},
			`<val xsi:type="ArrayOfOptionValue"><OptionValue xsi:type="OptionValue"><key>k</key>` +
				`<value xsi:type="xsd:string"> _XMLSchema-instance:type=&#34;x</value></OptionValue></val>`,
		},
	} {
		got, err := Value(reflect.ValueOf(step.value))
		if err != nil || got != step.want {
			t.Errorf("%v: %q, %v", step.value, got, err)
		}
	}
}

func TestAFaultSaysItsClassAndItsMessage(t *testing.T) {
	text, err := Fault(`"x" & y`, &types.InvalidArgument{InvalidProperty: "spec"})
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		"<faultstring>&#34;x&#34; &amp; y</faultstring>",
		`<InvalidArgumentFault xmlns="urn:vim25" xsi:type="InvalidArgument"><invalidProperty>spec</invalidProperty>`,
	} {
		if !strings.Contains(string(text), part) {
			t.Errorf("%s is not in %s", part, text)
		}
	}
}

func TestAFaultIsMadeFromItsName(t *testing.T) {
	fault, ok := NewFault("TaskInProgress")
	if _, right := fault.(*types.TaskInProgress); !ok || !right {
		t.Errorf("made %T", fault)
	}
	for _, name := range []string{"", "NoSuchThing", "VirtualMachineConfigSpec"} {
		if fault, ok := NewFault(name); ok {
			t.Errorf("%q made %T", name, fault)
		}
	}
}
