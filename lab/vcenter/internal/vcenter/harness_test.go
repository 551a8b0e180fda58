package vcenter_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"net/url"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"managedvm.dev/lab/vcenter/internal/vcenter"
	"managedvm.dev/lab/vcenter/internal/wire"
)

const (
	admin    = "administrator@vsphere.local"
	operator = "operator@vsphere.local"
	reader   = "readonly@vsphere.local"
	password = "correct horse"
	patience = 5 * time.Second
)

type world struct {
	*testing.T
	*vcenter.VCenter
	url *url.URL
}

func options(t *testing.T) vcenter.Options {
	t.Helper()
	privileges, err := os.ReadFile("../../privileges.json")
	if err != nil {
		t.Fatal(err)
	}
	yes, no := true, false
	return vcenter.Options{
		Privileges: privileges,
		Users: vcenter.Users{
			Roles: map[string][]string{"Operator": {"VirtualMachine.Config.CPUCount", "VirtualMachine.Interact.PowerOff"}},
			Users: []vcenter.User{
				{Name: admin, Password: password, Role: "Administrator"},
				{Name: operator, Password: password, Role: "Operator"},
				{Name: reader, Password: password, Role: "ReadOnly"},
			},
		},
		Inventory: vcenter.Inventory{
			Datacenter: "Berlin",
			Clusters:   []vcenter.ClusterSpec{{Name: "cluster-1", Hosts: 2}, {Name: "cluster-2", Hosts: 1, HAEnabled: &no}},
			VMs: []vcenter.VMSpec{
				{
					Path: "kunde-a/web-01", Cluster: "cluster-1", CPUs: 2, MemoryMiB: 4096,
					Disks: []vcenter.DiskSpec{{SizeGiB: 40}, {SizeGiB: 10}}, CPUHotAdd: true, MemoryHotAdd: true,
					MemoryHotAddIncrementMiB: 1024, MemoryHotAddLimitMiB: 16384, PoweredOn: &yes,
					ExtraConfig: map[string]string{"color": "blue", "shape": "round"},
				},
				{Path: "kunde-b/db-01", Cluster: "cluster-1", CPUs: 4, MemoryMiB: 4096, Disks: []vcenter.DiskSpec{{SizeGiB: 40}}},
				{Path: "kunde-b/off-01", Cluster: "cluster-2", CPUs: 4, MemoryMiB: 4096, PoweredOn: &no},
			},
		},
	}
}

// start serves a small vCenter; change adapts the options.
func start(t *testing.T, change ...func(*vcenter.Options)) *world {
	t.Helper()
	opts := options(t)
	for _, c := range change {
		c(&opts)
	}
	v, err := vcenter.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewTLSServer(v.Handler(nil))
	t.Cleanup(func() {
		v.Close()
		server.CloseClientConnections()
		server.Close()
	})
	address, err := url.Parse(server.URL + "/sdk")
	if err != nil {
		t.Fatal(err)
	}
	return &world{t, v, address}
}

func (w *world) login(user string) (*govmomi.Client, error) {
	address := *w.url
	address.User = url.UserPassword(user, password)
	return govmomi.NewClient(context.Background(), &address, true)
}

func (w *world) client(user string) *govmomi.Client {
	w.Helper()
	c, err := w.login(user)
	w.must(err)
	return c
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) vm(c *govmomi.Client, path string) *object.VirtualMachine {
	w.Helper()
	found, err := find.NewFinder(c.Client).VirtualMachine(context.Background(), "/Berlin/vm/"+path)
	w.must(err)
	return found
}

func (w *world) facts(path string) vcenter.VMFacts {
	w.Helper()
	facts, err := w.Facts(path)
	w.must(err)
	return facts
}

func (w *world) change(path string, change vcenter.VMChange) {
	w.Helper()
	_, err := w.Change(path, change)
	w.must(err)
}

func (w *world) reconfigure(c *govmomi.Client, path string, spec types.VirtualMachineConfigSpec) string {
	w.Helper()
	task, err := w.vm(c, path).Reconfigure(context.Background(), spec)
	return outcome(task, err)
}

// outcome is "" for success and else the name of the fault, wherever it was reported.
func outcome(task *object.Task, err error) string {
	if err == nil {
		err = task.Wait(context.Background())
	}
	return faultOf(err)
}

func faultOf(err error) string {
	if err == nil {
		return ""
	}
	if soap.IsSoapFault(err) {
		if fault, ok := soap.ToSoapFault(err).VimFault().(types.BaseMethodFault); ok {
			return wire.FaultName(fault)
		}
		// govmomi decodes a fault into a value, not into a pointer.
		return named(soap.ToSoapFault(err).VimFault())
	}
	var carrier interface{ Fault() types.BaseMethodFault }
	if errors.As(err, &carrier) {
		return wire.FaultName(carrier.Fault())
	}
	return err.Error()
}

func (w *world) expect(what, got, want string) {
	w.Helper()
	if got != want {
		w.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// eventually polls until the condition holds.
func (w *world) eventually(what string, holds func() bool) {
	w.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if holds() {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	w.Fatalf("it never happened: %s", what)
}

func pointer[T any](value T) *T { return &value }

func call[Req, Res any](
	w *world, c *govmomi.Client, method func(context.Context, soap.RoundTripper, *Req) (*Res, error), req Req,
) *Res {
	w.Helper()
	res, err := method(context.Background(), c.Client, &req)
	w.must(err)
	return res
}

func named(fault any) string {
	kind := reflect.TypeOf(fault)
	if kind == nil {
		return "no fault"
	}
	return kind.Name()
}
