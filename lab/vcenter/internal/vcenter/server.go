package vcenter

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"

	"github.com/vmware/govmomi/vim25/types"

	"managedvm.dev/lab/vcenter/internal/wire"
)

const (
	maxRequest = 16 << 20
	versions   = `<?xml version="1.0" encoding="UTF-8"?>
<namespaces version="1.0"><namespace><name>urn:vim25</name><version>%s</version>
<priorVersions><version>8.0.2.0</version><version>8.0.1.0</version><version>7.0</version><version>6.5</version></priorVersions>
</namespace></namespaces>`
)

// Handler serves the SOAP API below /sdk. extra may add paths of its own (guest file transfer).
func (v *VCenter) Handler(extra map[string]http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sdk/vimServiceVersions.xml", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/xml")
		_, _ = fmt.Fprintf(w, versions, v.content.About.ApiVersion)
	})
	mux.HandleFunc("POST /sdk", v.serveSOAP)
	mux.HandleFunc("POST /sdk/", v.serveSOAP)
	for pattern, handler := range extra {
		mux.Handle(pattern, handler)
	}
	return mux
}

func (v *VCenter) serveSOAP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	request, err := wire.Decode(body)
	if err != nil {
		v.respond(w, nil, err.Error(), &types.InvalidRequest{}, "")
		return
	}
	c := &Call{Request: request, http: r, writer: w}
	v.waitWhileSilent(c)
	result, fault := v.answer(c)
	if _, drop := v.Plan.take(DropResponse, c.Method, c.Path); drop {
		panic(http.ErrAbortHandler) // net/http's way to close a connection without an answer
	}
	text := ""
	if fault != nil {
		text = message(fault)
	}
	v.respond(w, result, text, fault, c.Method)
}

// waitWhileSilent holds a request back. A client that gave up meanwhile never sent it, as far as
// anybody can tell, so it must not have an effect later.
func (v *VCenter) waitWhileSilent(c *Call) {
	for {
		cleared, silent := v.Plan.silent(c.Method)
		if !silent {
			return
		}
		select {
		case <-cleared:
		case <-c.http.Context().Done():
			panic(http.ErrAbortHandler)
		case <-v.closing.Done():
			panic(http.ErrAbortHandler)
		}
	}
}

func (v *VCenter) respond(w http.ResponseWriter, result any, text string, fault Fault, method string) {
	var out []byte
	var err error
	status := http.StatusOK
	if fault != nil {
		status = http.StatusInternalServerError
		out, err = wire.Fault(text, fault)
	} else {
		out, err = wire.Response(method, result)
	}
	if err != nil {
		log.Printf("%s: the answer cannot be encoded: %v", method, err)
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(out)
}

// Listener closes connections at once while the plan says "refuse", and can drop those that are
// open already: a vCenter that goes away takes its kept-alive connections with it.
type Listener struct {
	net.Listener
	plan *FaultPlan
	mu   sync.Mutex
	open map[net.Conn]struct{}
}

// NewListener wraps a listening socket.
func (v *VCenter) NewListener(l net.Listener) *Listener {
	return &Listener{Listener: l, plan: v.Plan, open: map[net.Conn]struct{}{}}
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.plan.refusing() {
			_ = conn.Close()
			continue
		}
		tracked := &trackedConn{Conn: conn, listener: l}
		l.mu.Lock()
		l.open[tracked] = struct{}{}
		l.mu.Unlock()
		return tracked, nil
	}
}

// DropAll closes every open connection.
func (l *Listener) DropAll() {
	l.mu.Lock()
	open := make([]net.Conn, 0, len(l.open))
	for conn := range l.open {
		open = append(open, conn)
	}
	l.mu.Unlock()
	for _, conn := range open {
		_ = conn.Close()
	}
}

type trackedConn struct {
	net.Conn
	listener *Listener
}

func (c *trackedConn) Close() error {
	c.listener.mu.Lock()
	delete(c.listener.open, c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}
