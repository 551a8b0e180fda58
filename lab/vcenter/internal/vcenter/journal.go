package vcenter

import (
	"sort"
	"sync"
	"time"

	"managedvm.dev/lab/vcenter/internal/wire"
)

const keptMutations = 20000

// Mutation is one call that could change something, and what became of it.
type Mutation struct {
	Seq     int       `json:"seq"`
	Method  string    `json:"method"`
	Path    string    `json:"path"`
	User    string    `json:"user"`
	At      time.Time `json:"at"`
	Task    string    `json:"task,omitempty"`
	Outcome string    `json:"outcome"` // "running", "success" or the name of a fault
}

// Calls is what the server was asked since the last reset.
type Calls struct {
	Methods    map[string]int            `json:"methods"`
	Users      map[string]map[string]int `json:"users"`
	Privileges map[string][]string       `json:"privileges"`
	VMReads    int                       `json:"vmReads"`
	Sessions   int                       `json:"sessions"`
	Mutations  []Mutation                `json:"mutations"`
}

// Journal counts calls. It has its own lock, so that counting never waits for the inventory.
type Journal struct {
	mu         sync.Mutex
	seq        int
	methods    map[string]int
	users      map[string]map[string]int
	privileges map[string]map[string]bool
	vmReads    int
	mutations  []*Mutation
}

func newJournal() *Journal {
	j := &Journal{}
	j.Reset()
	return j
}

// Reset forgets everything but the sequence, so that numbers stay unique over the lab's life.
func (j *Journal) Reset() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.methods, j.users = map[string]int{}, map[string]map[string]int{}
	j.privileges, j.vmReads, j.mutations = map[string]map[string]bool{}, 0, nil
}

func (j *Journal) count(c *Call, vmReads int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.methods[c.Method]++
	j.vmReads += vmReads
	user := j.users[c.User()]
	if user == nil {
		user = map[string]int{}
		j.users[c.User()] = user
	}
	user[c.Method]++
}

func (j *Journal) used(user string, privileges []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	held := j.privileges[user]
	if held == nil {
		held = map[string]bool{}
		j.privileges[user] = held
	}
	for _, id := range privileges {
		held[id] = true
	}
}

func (j *Journal) begin(c *Call) *Mutation {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.seq++
	entry := &Mutation{
		Seq: j.seq, Method: c.Method, Path: c.Path, User: c.User(), At: time.Now().UTC(), Outcome: "running",
	}
	j.mutations = append(j.mutations, entry)
	if len(j.mutations) > keptMutations {
		j.mutations = append([]*Mutation{}, j.mutations[len(j.mutations)-keptMutations:]...)
	}
	return entry
}

func (j *Journal) setTask(entry *Mutation, task string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	entry.Task = task
}

func (j *Journal) finish(entry *Mutation, fault Fault) {
	j.mu.Lock()
	defer j.mu.Unlock()
	entry.Outcome = "success"
	if fault != nil {
		entry.Outcome = wire.FaultName(fault)
	}
}

// Snapshot copies the counts; the caller adds the number of sessions.
func (j *Journal) Snapshot() Calls {
	j.mu.Lock()
	defer j.mu.Unlock()
	calls := Calls{
		Methods: map[string]int{}, Users: map[string]map[string]int{},
		Privileges: map[string][]string{}, VMReads: j.vmReads, Mutations: []Mutation{},
	}
	for method, n := range j.methods {
		calls.Methods[method] = n
	}
	for user, methods := range j.users {
		calls.Users[user] = map[string]int{}
		for method, n := range methods {
			calls.Users[user][method] = n
		}
	}
	for user, held := range j.privileges {
		ids := make([]string, 0, len(held))
		for id := range held {
			ids = append(ids, id)
		}
		sort.Strings(ids)
		calls.Privileges[user] = ids
	}
	for _, entry := range j.mutations {
		calls.Mutations = append(calls.Mutations, *entry)
	}
	return calls
}

// directVMReads counts the VMs that a property read names one by one: the calls that a client
// with a stream has no reason to make.
func (v *VCenter) directVMReads(c *Call) int {
	n := 0
	for _, target := range targetsOf(c) {
		if target.Type == "VirtualMachine" {
			n++
		}
	}
	return n
}
