package vcenter

import (
	"os"
	"strings"
	"testing"
)

func TestTheTableAndTheHandlersAreTheSameList(t *testing.T) {
	table, err := os.ReadFile("../../privileges.json")
	if err != nil {
		t.Fatal(err)
	}
	v, err := New(Options{Privileges: table, Inventory: Inventory{
		Datacenter: "Berlin", Clusters: []ClusterSpec{{Name: "cluster-1", Hosts: 1}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for name, rule := range v.authority.methods {
		if _, served := v.handlers[name]; !served && !rule.Guest {
			t.Errorf("%s is in privileges.json and is not served", name)
		}
		if strings.HasSuffix(name, "_Task") && !rule.Mutates {
			t.Errorf("%s is a task that does not count as a change", name)
		}
		if len(rule.Privileges) == 0 {
			t.Errorf("%s needs no privilege", name)
		}
	}
	for name := range v.handlers {
		if _, known := v.authority.methods[name]; !known {
			t.Errorf("%s is served and is not in privileges.json", name)
		}
	}
}
