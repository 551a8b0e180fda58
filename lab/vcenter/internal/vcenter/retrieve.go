package vcenter

import (
	"hash/maphash"
	"log"
	"reflect"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/vim25/types"

	"managedvm.dev/lab/vcenter/internal/property"
	"managedvm.dev/lab/vcenter/internal/wire"
)

// The answers carry values that are encoded already: Raw is <val ...>...</val>.
type rawProperty struct {
	Name string `xml:"name"`
	Raw  string `xml:",innerxml"`
}

type rawContent struct {
	Obj     ref           `xml:"obj"`
	PropSet []rawProperty `xml:"propSet,omitempty"`
}

type rawResult struct {
	Token   string       `xml:"token,omitempty"`
	Objects []rawContent `xml:"objects,omitempty"`
}

// retrieveRequest is what the two generations of the method have in common.
type retrieveRequest struct {
	specs []types.PropertyFilterSpec
	max   int
}

func (v *VCenter) retrieveEx(c *Call, req *types.RetrievePropertiesEx) (any, Fault) {
	objects, fault := v.retrieve(c, retrieveRequest{specs: req.SpecSet})
	if fault != nil {
		return nil, fault
	}
	if len(objects) == 0 {
		return nil, nil
	}
	return v.books.page(objects, int(req.Options.MaxObjects)), nil
}

func (v *VCenter) retrieveOld(c *Call, req *types.RetrieveProperties) (any, Fault) {
	objects, fault := v.retrieve(c, retrieveRequest{specs: req.SpecSet})
	if fault != nil {
		return nil, fault
	}
	return objects, nil
}

func (v *VCenter) continueRetrieve(_ *Call, req *types.ContinueRetrievePropertiesEx) (any, Fault) {
	rest, ok := v.books.take(req.Token)
	if !ok {
		return nil, invalidArgument("token")
	}
	return v.books.page(rest.objects, rest.size), nil
}

func (v *VCenter) cancelRetrieve(_ *Call, req *types.CancelRetrievePropertiesEx) (any, Fault) {
	if _, ok := v.books.take(req.Token); !ok {
		return nil, invalidArgument("token")
	}
	return nil, nil
}

func (v *VCenter) retrieve(c *Call, req retrieveRequest) ([]rawContent, Fault) {
	var objects []rawContent
	for i := range req.specs {
		spec := &req.specs[i]
		if fault := checkPaths(spec); fault != nil {
			return nil, fault
		}
		sel, fault := v.selectObjects(c.session, spec)
		if fault != nil {
			return nil, fault
		}
		for _, r := range sel.selected {
			if content, ok := v.contentOf(c.session, r, spec); ok {
				objects = append(objects, content)
			}
		}
	}
	return objects, nil
}

func (v *VCenter) contentOf(s *session, r ref, spec *types.PropertyFilterSpec) (rawContent, bool) {
	value, ok := property.Managed(v.resolve(s, r))
	if !ok {
		return rawContent{}, false
	}
	paths, _, matched := pathsFor(value.Type(), spec)
	if !matched {
		return rawContent{}, false
	}
	content := rawContent{Obj: r}
	for _, path := range paths {
		if raw, ok := encoded(value, path); ok {
			content.PropSet = append(content.PropSet, rawProperty{path, raw})
		}
	}
	return content, true
}

// encoded is the property's value as XML; ok is false when it is unset.
func encoded(object reflect.Value, path string) (string, bool) {
	value, ok := property.Value(object, path)
	if !ok {
		return "", false
	}
	raw, err := wire.Value(value)
	if err != nil {
		log.Printf("%s of %s cannot be encoded: %v", path, object.Type(), err)
		return "", false
	}
	return raw, true
}

// fetch reads one property of one object: what pyVmomi does when a program writes vm.name.
func (v *VCenter) fetch(c *Call, req *wire.Fetch) (any, Fault) {
	object := v.resolve(c.session, req.This)
	if object == nil {
		return nil, &types.ManagedObjectNotFound{Obj: req.This}
	}
	value, ok := property.Managed(object)
	if !ok || !property.Valid(value.Type(), req.Prop) {
		return nil, &types.InvalidProperty{Name: req.Prop}
	}
	raw, ok := encoded(value, req.Prop)
	if !ok {
		return nil, nil
	}
	return fetchResponse{strings.TrimSuffix(strings.TrimPrefix(raw, "<val"), "</val>")}, nil
}

// fetchResponse re-labels the encoded <val> as <returnval>.
type fetchResponse struct{ inner string }

// RawXML is what goes between the response's tags.
func (f fetchResponse) RawXML() string { return "<returnval" + f.inner + "</returnval>" }

var hashSeed = maphash.MakeSeed()

// fingerprint of an encoded value; 0 is kept for "unset".
func fingerprint(raw string) uint64 {
	return maphash.String(hashSeed, raw) | 1
}

// books holds the pages of large answers until the client comes back for them.
type books struct {
	mu   sync.Mutex
	open map[string]book
}

type book struct {
	objects []rawContent
	size    int
}

func (b *books) page(objects []rawContent, size int) rawResult {
	if size <= 0 || len(objects) <= size {
		return rawResult{Objects: objects}
	}
	token := uuid.NewString()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open == nil {
		b.open = map[string]book{}
	}
	b.open[token] = book{objects[size:], size}
	return rawResult{Token: token, Objects: objects[:size]}
}

func (b *books) take(token string) (book, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	found, ok := b.open[token]
	delete(b.open, token)
	return found, ok
}
