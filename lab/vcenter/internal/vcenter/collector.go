package vcenter

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	pageOfUpdates = 100                  // vCenter's own limit, whatever a client asks for
	gather        = 2 * time.Millisecond // one change is seldom alone
)

type rawUpdateSet struct {
	Version   string            `xml:"version"`
	FilterSet []rawFilterUpdate `xml:"filterSet,omitempty"`
	Truncated *bool             `xml:"truncated"`
}

// collector is a PropertyCollector of one session. The answer to the last version is kept until
// the client acknowledges it by asking with the next one, so a lost answer loses no change.
type collector struct {
	mo.PropertyCollector
	v       *VCenter
	session *session
	wake    chan struct{}

	mu      sync.Mutex // one update is computed at a time
	filters []*filter
	version int
	last    *rawUpdateSet
	from    string

	dirtyMu sync.Mutex // a leaf: held for a moment only, also under the inventory's lock
	dirty   map[ref]bool
	cancel  context.CancelFunc
}

func (v *VCenter) newCollector(s *session, r ref) *collector {
	k := &collector{v: v, session: s, wake: make(chan struct{}, 1), dirty: map[ref]bool{}}
	k.Self = r
	v.watchers.add(k)
	return k
}

// view is what a client sees of the collector itself.
func (k *collector) view() *mo.PropertyCollector {
	k.dirtyMu.Lock()
	defer k.dirtyMu.Unlock()
	return &mo.PropertyCollector{Self: k.Self, Filter: append([]ref{}, k.Filter...)}
}

// changed notes objects to look at. It is called under the inventory's lock and must not wait.
func (k *collector) changed(refs []ref) {
	k.dirtyMu.Lock()
	for _, r := range refs {
		k.dirty[r] = true
	}
	k.dirtyMu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

func (k *collector) takeDirty() map[ref]bool {
	k.dirtyMu.Lock()
	defer k.dirtyMu.Unlock()
	dirty := k.dirty
	k.dirty = map[ref]bool{}
	return dirty
}

// next computes one update set, nil when there is nothing to tell.
func (k *collector) next(version string, limit int) (*rawUpdateSet, Fault) {
	k.mu.Lock()
	defer k.mu.Unlock()
	first := version == ""
	switch {
	case first:
		for _, f := range k.filters {
			f.restart()
		}
	case version == strconv.Itoa(k.version):
	case k.last != nil && version == k.from:
		return k.last, nil
	default:
		return nil, &types.InvalidCollectorVersion{}
	}
	k.v.mu.RLock()
	defer k.v.mu.RUnlock()
	changed := k.takeDirty()
	set := &rawUpdateSet{}
	left, more := limit, false
	for _, f := range k.filters {
		f.absorb(k.v, k.session, changed)
		if updates := f.take(k.v, k.session, left); len(updates) > 0 {
			set.FilterSet = append(set.FilterSet, rawFilterUpdate{Filter: f.Self, ObjectSet: updates})
			left -= len(updates)
		}
		more = more || len(f.queue) > 0
	}
	if len(set.FilterSet) == 0 && !first {
		return nil, nil
	}
	k.version++
	set.Version = strconv.Itoa(k.version)
	if more {
		set.Truncated = &more
	}
	k.last, k.from = set, version
	return set, nil
}

// waitFor answers as soon as there is something to tell, or with nothing when the time is up.
func (v *VCenter) waitFor(c *Call, k *collector, req *types.WaitForUpdatesEx) (any, Fault) {
	limit, deadline := waitOptions(req.Options)
	cancelled, cancel := k.waiting()
	defer cancel()
	for {
		set, fault := k.next(req.Version, limit)
		if fault != nil {
			return nil, fault
		}
		if set != nil {
			return set, nil
		}
		select {
		case <-k.wake:
			pause(v.closing, gather)
		case <-deadline:
			return nil, nil
		case <-cancelled.Done():
			return nil, &types.RequestCanceled{}
		case <-k.session.ended.Done():
			return nil, notAuthenticated(c.This)
		case <-c.http.Context().Done():
			return nil, nil
		case <-v.closing.Done():
			return nil, &types.RequestCanceled{}
		}
	}
}

func waitOptions(options *types.WaitOptions) (limit int, deadline <-chan time.Time) {
	limit = pageOfUpdates
	if options == nil {
		return limit, nil
	}
	if n := int(options.MaxObjectUpdates); n > 0 {
		limit = min(limit, n)
	}
	if options.MaxWaitSeconds != nil {
		return limit, time.After(time.Duration(*options.MaxWaitSeconds) * time.Second)
	}
	return limit, nil
}

// waiting registers this wait as the one that CancelWaitForUpdates ends.
func (k *collector) waiting() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	k.dirtyMu.Lock()
	defer k.dirtyMu.Unlock()
	k.cancel = cancel
	return ctx, cancel
}

func (v *VCenter) collectorOf(c *Call) *collector {
	k, ok := c.session.own(c.This, func() any { return v.newCollector(c.session, c.This) }).(*collector)
	if !ok {
		panic("a property collector's reference leads to something else")
	}
	return k
}

func (v *VCenter) waitForUpdatesEx(c *Call, req *types.WaitForUpdatesEx) (any, Fault) {
	return v.waitFor(c, v.collectorOf(c), req)
}

func (v *VCenter) waitForUpdates(c *Call, req *types.WaitForUpdates) (any, Fault) {
	return v.waitFor(c, v.collectorOf(c), &types.WaitForUpdatesEx{Version: req.Version})
}

func (v *VCenter) checkForUpdates(c *Call, req *types.CheckForUpdates) (any, Fault) {
	zero := int32(0)
	options := &types.WaitOptions{MaxWaitSeconds: &zero}
	return v.waitFor(c, v.collectorOf(c), &types.WaitForUpdatesEx{Version: req.Version, Options: options})
}

func (v *VCenter) cancelWait(c *Call, _ *types.CancelWaitForUpdates) (any, Fault) {
	k := v.collectorOf(c)
	k.dirtyMu.Lock()
	defer k.dirtyMu.Unlock()
	if k.cancel != nil {
		k.cancel()
	}
	return nil, nil
}

func (v *VCenter) createPropertyCollector(c *Call, _ *types.CreatePropertyCollector) (any, Fault) {
	k := v.newCollector(c.session, c.session.newRef("PropertyCollector"))
	c.session.put(k.Self, k)
	return k.Self, nil
}

func (v *VCenter) createFilter(c *Call, req *types.CreateFilter) (any, Fault) {
	if fault := checkPaths(&req.Spec); fault != nil {
		return nil, fault
	}
	var fault Fault
	v.locked(reading, func() { _, fault = v.selectObjects(c.session, &req.Spec) })
	if fault != nil {
		return nil, fault
	}
	k := v.collectorOf(c)
	f := newFilter(k, req.Spec)
	f.Self, f.PartialUpdates = c.session.newRef("PropertyFilter"), req.PartialUpdates
	c.session.put(f.Self, f)
	k.mu.Lock()
	k.filters = append(k.filters, f)
	k.mu.Unlock()
	k.dirtyMu.Lock()
	k.Filter = append(k.Filter, f.Self)
	k.dirtyMu.Unlock()
	k.changed(nil)
	return f.Self, nil
}

func (v *VCenter) destroyFilter(c *Call, _ *types.DestroyPropertyFilter) (any, Fault) {
	f, ok := c.session.get(c.This).(*filter)
	if !ok {
		return nil, &types.ManagedObjectNotFound{Obj: c.This}
	}
	c.session.drop(f.Self)
	k := f.owner
	k.mu.Lock()
	k.filters = slices.DeleteFunc(k.filters, func(one *filter) bool { return one == f })
	k.mu.Unlock()
	k.dirtyMu.Lock()
	defer k.dirtyMu.Unlock()
	k.Filter = without(k.Filter, f.Self)
	return nil, nil
}

func (v *VCenter) destroyCollector(c *Call, _ *types.DestroyPropertyCollector) (any, Fault) {
	k := v.collectorOf(c)
	v.watchers.remove(k)
	c.session.drop(k.Self)
	k.dirtyMu.Lock()
	defer k.dirtyMu.Unlock()
	if k.cancel != nil {
		k.cancel()
	}
	return nil, nil
}
