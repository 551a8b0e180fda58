package vcenter

import (
	"encoding/json"
	"fmt"
	"sort"

	"github.com/vmware/govmomi/vim25/types"
)

// Users is the users file: who may log in, and what each role may do.
type Users struct {
	Roles map[string][]string `json:"roles"`
	Users []User              `json:"users"`
}

// User is one account. Its role holds for the whole inventory.
type User struct {
	Name     string `json:"name"`
	Password string `json:"password"`
	Role     string `json:"role"`
}

const (
	administrator = "Administrator"
	readOnly      = "ReadOnly"
	noPrivilege   = "System.View" // every logged in user holds it
)

// rule says what one method needs.
type rule struct {
	Privileges map[string]string `json:"privileges"` // by object type, "*" for any
	Anonymous  bool              `json:"anonymous"`  // may be called without a session
	Mutates    bool              `json:"mutates"`
	Guest      bool              `json:"guest"`     // acts on the VM in its argument
	Arguments  string            `json:"arguments"` // more is needed, depending on what is asked
}

// on is the privilege for a kind of object; ok is false when the method is not served on it.
func (r rule) on(kind string) (privilege string, ok bool) {
	if id, listed := r.Privileges[kind]; listed {
		return id, true
	}
	id, ok := r.Privileges["*"]
	return id, ok
}

type privilegeTable struct {
	Methods     map[string]rule `json:"methods"`
	Reconfigure struct {
		Other   string            `json:"other"`
		Fields  map[string]string `json:"fields"`
		Free    []string          `json:"free"`
		Devices map[string]string `json:"devices"`
	} `json:"reconfigure"`
	Move     map[string]string `json:"move"`
	Migrate  map[string]string `json:"migrate"`
	ReadOnly []string          `json:"readOnly"`
}

// authority decides who may do what. It is read-only once built.
type authority struct {
	table   privilegeTable
	methods map[string]rule
	users   map[string]*User
	roles   map[string]map[string]bool
}

func newAuthority(table []byte, users Users) (*authority, error) {
	a := &authority{users: map[string]*User{}, roles: map[string]map[string]bool{}}
	if err := json.Unmarshal(table, &a.table); err != nil {
		return nil, fmt.Errorf("privileges.json: %w", err)
	}
	a.methods = a.table.Methods
	for name, ids := range users.Roles {
		a.addRole(name, ids)
	}
	a.addRole(readOnly, nil)
	for _, user := range users.Users {
		if user.Name == "" || user.Password == "" {
			return nil, fmt.Errorf("users: every user needs a name and a password, %q lacks one", user.Name)
		}
		if _, known := a.roles[user.Role]; !known && user.Role != administrator {
			return nil, fmt.Errorf("users: %s has the unknown role %q", user.Name, user.Role)
		}
		a.users[user.Name] = &user
	}
	return a, nil
}

// addRole adds what vCenter puts into every role by itself.
func (a *authority) addRole(name string, ids []string) {
	held := map[string]bool{}
	for _, id := range append(append([]string{}, a.table.ReadOnly...), ids...) {
		held[id] = true
	}
	a.roles[name] = held
}

func (a *authority) user(name string) *User { return a.users[name] }

func (a *authority) allows(user, privilege string) bool {
	account := a.users[user]
	if account == nil {
		return false
	}
	return account.Role == administrator || a.roles[account.Role][privilege]
}

// privileges that a user holds, sorted; all that the table names for an administrator.
func (a *authority) privileges(user string) []string {
	account := a.users[user]
	if account == nil {
		return nil
	}
	held := a.roles[account.Role]
	if account.Role == administrator {
		held = a.everything()
	}
	ids := make([]string, 0, len(held))
	for id := range held {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	return ids
}

func (a *authority) everything() map[string]bool {
	all := map[string]bool{}
	add := func(ids map[string]string) {
		for _, id := range ids {
			all[id] = true
		}
	}
	for _, r := range a.methods {
		add(r.Privileges)
	}
	add(a.table.Reconfigure.Fields)
	add(a.table.Reconfigure.Devices)
	add(a.table.Move)
	add(a.table.Migrate)
	all[a.table.Reconfigure.Other] = true
	for _, id := range a.table.ReadOnly {
		all[id] = true
	}
	return all
}

// check refuses a call whose caller lacks a privilege, naming the object and the privilege.
func (a *authority) check(v *VCenter, c *Call, r rule) Fault {
	if c.session == nil {
		return nil
	}
	target := c.This
	if r.Guest {
		if vm := c.guestTarget(); vm != nil {
			target = *vm
		}
	}
	needed := a.needs(v, c, r)
	for _, privilege := range needed {
		if !a.allows(c.User(), privilege) {
			fault := &types.NoPermission{PrivilegeId: privilege}
			fault.Object = &target
			return fault
		}
	}
	v.Journal.used(c.User(), needed)
	return nil
}

// needs lists the privileges of a call; the longest part depends on its arguments.
func (a *authority) needs(v *VCenter, c *Call, r rule) []string {
	id, _ := r.on(c.This.Type)
	needed := []string{id}
	switch r.Arguments {
	case "reconfigure":
		if req, ok := c.Body.(*types.ReconfigVM_Task); ok {
			needed = append(needed, a.reconfigureNeeds(v.vms[c.This], &req.Spec)...)
		}
	case "move":
		if req, ok := c.Body.(*types.MoveIntoFolder_Task); ok {
			for _, moved := range req.List {
				needed = append(needed, a.table.Move[moved.Type])
			}
		}
	case "migrate":
		state := "poweredOff"
		if vm := v.vms[c.This]; vm != nil && vm.on() {
			state = "poweredOn"
		}
		needed = append(needed, a.table.Migrate[state])
	}
	return needed
}
