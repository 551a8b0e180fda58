package vcenter

import (
	"slices"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	defaultPage = 10
	largestPage = 1000
)

// eventCollector is one client's view of the history: a page of the newest events, streamed, and
// a position for reading forward and backward.
type eventCollector struct {
	self    ref
	filter  types.EventFilterSpec
	size    int
	matched []types.BaseEvent
	next    int // index into matched of the event that is read next
}

// page is the collector as the property collector sees it: the newest event first.
func (c *eventCollector) page() *mo.EventHistoryCollector {
	view := &mo.EventHistoryCollector{}
	view.Self, view.Filter = c.self, c.filter
	newest := c.matched[max(0, len(c.matched)-c.size):]
	view.LatestPage = append([]types.BaseEvent{}, newest...)
	slices.Reverse(view.LatestPage)
	return view
}

func (v *VCenter) createEventCollector(c *Call, req *types.CreateCollectorForEvents) (any, Fault) {
	size, fault := pageSize(req.Filter.MaxCount)
	if fault != nil {
		return nil, fault
	}
	e := &eventCollector{self: c.session.newRef("EventHistoryCollector"), filter: req.Filter, size: size}
	e.matched = v.matching(&req.Filter)
	v.events.collectors[e.self] = e
	c.session.put(e.self, e)
	return e.self, nil
}

func (v *VCenter) matching(spec *types.EventFilterSpec) []types.BaseEvent {
	var matched []types.BaseEvent
	for _, event := range v.events.all {
		if v.eventMatches(event, spec) {
			matched = append(matched, event)
		}
	}
	return matched
}

func (v *VCenter) queryEvents(_ *Call, req *types.QueryEvents) (any, Fault) {
	size := largestPage
	if n := int(req.Filter.MaxCount); n > 0 {
		size = min(n, largestPage)
	}
	matched := v.matching(&req.Filter)
	return &types.QueryEventsResponse{Returnval: matched[max(0, len(matched)-size):]}, nil
}

func pageSize(count int32) (int, Fault) {
	if count == 0 {
		return defaultPage, nil
	}
	if count < 0 || count > largestPage {
		return 0, invalidArgument("maxCount")
	}
	return int(count), nil
}

func eventCollectorOf(c *Call) (*eventCollector, Fault) {
	if e, ok := c.session.get(c.This).(*eventCollector); ok {
		return e, nil
	}
	return nil, &types.ManagedObjectNotFound{Obj: c.This}
}

func (v *VCenter) readNextEvents(c *Call, req *types.ReadNextEvents) (any, Fault) {
	e, fault := eventCollectorOf(c)
	if fault != nil {
		return nil, fault
	}
	if req.MaxCount <= 0 {
		return nil, invalidArgument("maxCount")
	}
	end := min(len(e.matched), e.next+int(req.MaxCount))
	events := e.matched[e.next:end]
	e.next = end
	return &types.ReadNextEventsResponse{Returnval: events}, nil
}

func (v *VCenter) readPreviousEvents(c *Call, req *types.ReadPreviousEvents) (any, Fault) {
	e, fault := eventCollectorOf(c)
	if fault != nil {
		return nil, fault
	}
	if req.MaxCount <= 0 {
		return nil, invalidArgument("maxCount")
	}
	begin := max(0, e.next-int(req.MaxCount))
	events := append([]types.BaseEvent{}, e.matched[begin:e.next]...)
	slices.Reverse(events)
	e.next = begin
	return &types.ReadPreviousEventsResponse{Returnval: events}, nil
}

// resetCollector moves to just before the latest page, so that reading forward reads that page.
func (v *VCenter) resetCollector(c *Call, _ *types.ResetCollector) (any, Fault) {
	e, fault := eventCollectorOf(c)
	if fault != nil {
		return nil, fault
	}
	e.next = max(0, len(e.matched)-e.size)
	return nil, nil
}

func (v *VCenter) rewindCollector(c *Call, _ *types.RewindCollector) (any, Fault) {
	e, fault := eventCollectorOf(c)
	if fault != nil {
		return nil, fault
	}
	e.next = 0
	return nil, nil
}

func (v *VCenter) setCollectorPageSize(c *Call, req *types.SetCollectorPageSize) (any, Fault) {
	e, fault := eventCollectorOf(c)
	if fault != nil {
		return nil, fault
	}
	if req.MaxCount <= 0 {
		return nil, invalidArgument("maxCount")
	}
	size, fault := pageSize(req.MaxCount)
	if fault != nil {
		return nil, fault
	}
	e.size = size
	v.touch(e.self)
	return nil, nil
}

func (v *VCenter) destroyEventCollector(c *Call, _ *types.DestroyCollector) (any, Fault) {
	c.session.drop(c.This)
	v.events.remove(c.This)
	v.restructure(c.This)
	return nil, nil
}
