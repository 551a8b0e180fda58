// Package admin is the door for tests: what people and failures do to a vCenter, as JSON over
// loopback HTTP. It translates and never decides.
package admin

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"managedvm.dev/lab/vcenter/internal/vcenter"
)

const maxBody = 1 << 20

type server struct {
	v        *vcenter.VCenter
	dropOpen func()
}

// Handler serves the admin endpoint. dropOpen closes the API's open connections.
func Handler(v *vcenter.VCenter, dropOpen func()) http.Handler {
	s := &server{v, dropOpen}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]bool{"ok": true}, nil)
	})
	mux.HandleFunc("GET /vms", s.listVMs)
	mux.HandleFunc("GET /vm", s.readVM)
	mux.HandleFunc("POST /vm", s.changeVM)
	mux.HandleFunc("DELETE /vm", s.deleteVM)
	mux.HandleFunc("POST /vm/create", s.createVM)
	mux.HandleFunc("POST /vm/ha-restart", s.restart)
	mux.HandleFunc("POST /vm/ha-override", s.override)
	mux.HandleFunc("POST /host", s.host)
	mux.HandleFunc("POST /cluster", s.cluster)
	mux.HandleFunc("GET /cluster", s.readCluster)
	mux.HandleFunc("GET /fault", s.listFaults)
	mux.HandleFunc("POST /fault", s.addFault)
	mux.HandleFunc("DELETE /fault", s.clearFaults)
	mux.HandleFunc("GET /calls", s.calls)
	mux.HandleFunc("POST /calls/reset", s.resetCalls)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, "there is nothing at "+r.Method+" "+r.URL.Path)
	})
	return mux
}

func refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": text})
}

func reply(w http.ResponseWriter, body any, err error) {
	switch {
	case errors.Is(err, vcenter.ErrNoVM), errors.Is(err, vcenter.ErrNoCluster):
		refuse(w, http.StatusNotFound, err.Error())
	case err != nil:
		refuse(w, http.StatusBadRequest, err.Error())
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(body)
	}
}

// read decodes the body into T. A field that is not known is an error: in a test it is a typing
// error, and a typing error must not look like success.
func read[T any](r *http.Request) (T, error) {
	var value T
	decoder := json.NewDecoder(io.LimitReader(r.Body, maxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&value); err != nil && !errors.Is(err, io.EOF) {
		return value, err
	}
	return value, nil
}

func (s *server) listVMs(w http.ResponseWriter, r *http.Request) {
	if path := r.URL.Query().Get("path"); path != "" {
		facts, err := s.v.Facts(path)
		reply(w, facts, err)
		return
	}
	reply(w, map[string][]string{"paths": s.v.Paths()}, nil)
}

func (s *server) readVM(w http.ResponseWriter, r *http.Request) {
	facts, err := s.v.Facts(r.URL.Query().Get("path"))
	reply(w, facts, err)
}

func (s *server) changeVM(w http.ResponseWriter, r *http.Request) {
	change, err := read[vcenter.VMChange](r)
	if err != nil {
		reply(w, nil, err)
		return
	}
	facts, err := s.v.Change(r.URL.Query().Get("path"), change)
	reply(w, facts, err)
}

func (s *server) deleteVM(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Query().Get("path")
	reply(w, map[string]string{"deleted": path}, s.v.Delete(path))
}

func (s *server) createVM(w http.ResponseWriter, r *http.Request) {
	spec, err := read[vcenter.VMSpec](r)
	if err != nil {
		reply(w, nil, err)
		return
	}
	facts, err := s.v.Create(spec)
	reply(w, facts, err)
}

func (s *server) restart(w http.ResponseWriter, r *http.Request) {
	restart, err := read[vcenter.HARestart](r)
	if err != nil {
		reply(w, nil, err)
		return
	}
	keys, err := s.v.Restart(r.URL.Query().Get("path"), restart)
	reply(w, map[string][]int32{"events": keys}, err)
}

func (s *server) override(w http.ResponseWriter, r *http.Request) {
	wanted, err := read[vcenter.OverrideFacts](r)
	if err != nil {
		reply(w, nil, err)
		return
	}
	facts, err := s.v.Override(r.URL.Query().Get("path"), wanted)
	reply(w, facts, err)
}

func (s *server) readCluster(w http.ResponseWriter, r *http.Request) {
	facts, err := s.v.ChangeCluster(r.URL.Query().Get("name"), vcenter.ClusterChange{})
	reply(w, facts, err)
}

func (s *server) host(w http.ResponseWriter, r *http.Request) {
	change, err := read[struct {
		Connection string `json:"connection"`
	}](r)
	if err == nil {
		err = s.v.ChangeHost(r.URL.Query().Get("name"), change.Connection)
	}
	reply(w, map[string]bool{"ok": true}, err)
}

func (s *server) cluster(w http.ResponseWriter, r *http.Request) {
	change, err := read[vcenter.ClusterChange](r)
	if err != nil {
		reply(w, nil, err)
		return
	}
	facts, err := s.v.ChangeCluster(r.URL.Query().Get("name"), change)
	reply(w, facts, err)
}

func (s *server) listFaults(w http.ResponseWriter, _ *http.Request) {
	reply(w, map[string]any{"faults": s.v.Plan.List()}, nil)
}

func (s *server) addFault(w http.ResponseWriter, r *http.Request) {
	trouble, err := read[vcenter.Trouble](r)
	if err != nil {
		reply(w, nil, err)
		return
	}
	if trouble.Kind == "expire-sessions" {
		s.v.ExpireSessions()
		s.listFaults(w, r)
		return
	}
	if err := s.v.Plan.Add(trouble); err != nil {
		reply(w, nil, err)
		return
	}
	if trouble.Kind == vcenter.Refuse {
		s.dropOpen()
	}
	s.listFaults(w, r)
}

func (s *server) clearFaults(w http.ResponseWriter, r *http.Request) {
	s.v.Plan.Clear()
	s.listFaults(w, r)
}

func (s *server) calls(w http.ResponseWriter, _ *http.Request) {
	calls := s.v.Journal.Snapshot()
	calls.Sessions = s.v.SessionCount()
	reply(w, calls, nil)
}

func (s *server) resetCalls(w http.ResponseWriter, _ *http.Request) {
	s.v.Journal.Reset()
	reply(w, map[string]bool{"ok": true}, nil)
}
