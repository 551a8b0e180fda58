package vcenter

import "sync"

// watchers are the property collectors that want to know about changes.
type watchers struct {
	mu  sync.Mutex
	all map[*collector]struct{}
}

func (w *watchers) add(c *collector) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all == nil {
		w.all = map[*collector]struct{}{}
	}
	w.all[c] = struct{}{}
}

func (w *watchers) remove(c *collector) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.all, c)
}

func (w *watchers) notify(refs []ref) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.all {
		c.changed(refs)
	}
}
