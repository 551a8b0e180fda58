// Package vcenter is the simulated vCenter. Its law: one lock guards the inventory, every change of
// an object is announced with touch, and nothing that a client sends can end the process.
package vcenter

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/simulator/vpx"
	"github.com/vmware/govmomi/vim25/types"
)

// Options are what the program is started with.
type Options struct {
	Users          Users
	Inventory      Inventory
	Privileges     []byte // privileges.json
	SessionTimeout time.Duration
	Backings       BackingFactory // nil: every VM is only simulated
}

type ref = types.ManagedObjectReference

// Fault is what a method refuses with; nil means it did not.
type Fault = types.BaseMethodFault

// VCenter is one simulated server.
type VCenter struct {
	mu       sync.RWMutex // guards the inventory: reg's objects, vms, tasks, events
	reg      *simulator.Registry
	sim      *simulator.Context
	content  types.ServiceContent
	dc       ref
	vmFolder ref
	store    ref
	network  ref

	vms        map[ref]*VM
	byUUID     map[string]*VM
	names      map[ref]map[string]ref // the VM folder tree, by parent and name
	snapshots  map[ref]*snapshot
	snapshotID int32
	structure  uint64 // moves when the tree of entities changes
	counter    int64
	lastChange time.Time

	authority *authority
	sessions  *sessions
	handlers  map[string]handler
	watchers  watchers
	tasks     taskLog
	events    eventLog
	books     books
	Journal   *Journal
	Plan      *FaultPlan
	backings  BackingFactory
	closing   context.Context
	close     context.CancelFunc
}

// New builds the inventory and is then ready to serve. Errors name what is wrong in the options.
func New(opts Options) (*VCenter, error) {
	authority, err := newAuthority(opts.Privileges, opts.Users)
	if err != nil {
		return nil, err
	}
	closing, cancel := context.WithCancel(context.Background())
	v := &VCenter{
		vms:       map[ref]*VM{},
		byUUID:    map[string]*VM{},
		snapshots: map[ref]*snapshot{},
		names:     map[ref]map[string]ref{},
		authority: authority,
		sessions:  newSessions(opts.SessionTimeout),
		handlers:  map[string]handler{},
		Journal:   newJournal(),
		Plan:      newFaultPlan(),
		backings:  opts.Backings,
		closing:   closing,
		close:     cancel,
	}
	v.content = newContent(opts.Inventory.Datacenter)
	v.sim, _ = simulator.NewServiceInstance(simulator.NewContext(), v.content, vpx.RootFolder)
	v.reg = v.sim.Map
	v.tasks.init()
	v.events.init()
	v.register()
	if err := v.build(opts.Inventory); err != nil {
		cancel()
		return nil, err
	}
	go v.sessions.reap(closing, v.endSession)
	return v, nil
}

// Close ends every waiting request, so that the HTTP server can stop at once.
func (v *VCenter) Close() { v.close() }

// newContent claims the newest vSphere 8, so that clients do not fall back to old API versions.
func newContent(datacenter string) types.ServiceContent {
	content := vpx.ServiceContent
	about := &content.About
	about.Version, about.ApiVersion, about.Build = "8.0.3", "8.0.3.0", "24022515"
	about.FullName = "VMware vCenter Server 8.0.3 build-24022515"
	about.LicenseProductVersion = "8.0"
	about.InstanceUuid = stableUUID("vcenter", datacenter)
	return content
}

// stableUUID is the same after every restart: the operator keeps claims under these ids.
func stableUUID(kind, name string) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("managedvm.dev/lab/"+kind+"/"+name)).String()
}
