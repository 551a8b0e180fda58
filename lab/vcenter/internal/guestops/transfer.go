package guestops

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"managedvm.dev/lab/vcenter/internal/tools"
	"managedvm.dev/lab/vcenter/internal/vcenter"
)

// ticketLife is how long a transfer may be begun after its URL was handed out.
const ticketLife = 5 * time.Minute

// TransferPath is where Transfers is to be served.
const TransferPath = "/guestFile"

// ticket is the right to move one file once.
type ticket struct {
	caller  *caller
	request tools.Request
	expires time.Time
}

// Transfers serves the URLs by which clients move files; whoever has the URL needs no session, as on a real host.
type Transfers struct {
	port int

	mutex   sync.Mutex
	tickets map[string]ticket
}

// NewTransfers returns a server of transfers; port is where TransferPath is served.
func NewTransfers(port int) *Transfers {
	return &Transfers{port: port, tickets: map[string]ticket{}}
}

// issue keeps a ticket and returns its URL. The host is "*", which tells the client to use the one it talks to.
func (t *Transfers) issue(c *caller, request tools.Request) string {
	token := rand.Text()
	now := time.Now()
	t.mutex.Lock()
	defer t.mutex.Unlock()
	for old, one := range t.tickets {
		if now.After(one.expires) {
			delete(t.tickets, old)
		}
	}
	t.tickets[token] = ticket{c, request, now.Add(ticketLife)}
	query := url.Values{"id": {"1"}, "token": {token}}
	return fmt.Sprintf("https://*:%d%s?%s", t.port, TransferPath, query.Encode())
}

// redeem takes a ticket away: it is good for one transfer of the kind it was made for.
func (t *Transfers) redeem(token string, operation tools.Operation) (ticket, bool) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	one, ok := t.tickets[token]
	if !ok || one.request.Operation != operation || time.Now().After(one.expires) {
		return ticket{}, false
	}
	delete(t.tickets, token)
	return one, true
}

func (t *Transfers) fromGuest(guest vcenter.Guest, req *types.InitiateFileTransferFromGuest) (any, vcenter.Fault) {
	c, fault := access(guest, req.Auth)
	if fault != nil {
		return nil, fault
	}
	var found []tools.FileInfo
	file := &tools.File{Path: req.GuestFilePath}
	if fault := c.ask(tools.Request{Operation: tools.FileStatus, File: file}, &found); fault != nil {
		return nil, fault
	}
	if len(found) != 1 || found[0].Kind != "file" {
		return nil, &types.NotAFile{FileFault: types.FileFault{File: req.GuestFilePath}}
	}
	return types.FileTransferInformation{
		Attributes: attributesOf(found[0]), Size: found[0].Size,
		Url: t.issue(c, tools.Request{Operation: tools.ReadFile, File: file}),
	}, nil
}

func (t *Transfers) toGuest(guest vcenter.Guest, req *types.InitiateFileTransferToGuest) (any, vcenter.Fault) {
	c, fault := access(guest, req.Auth)
	if fault != nil {
		return nil, fault
	}
	file := &tools.File{Path: req.GuestFilePath, Size: req.FileSize, Overwrite: req.Overwrite}
	if fault := apply(req.FileAttributes, file); fault != nil {
		return nil, fault
	}
	if fault := c.ask(tools.Request{Operation: tools.CheckLogin}, nil); fault != nil {
		return nil, fault
	}
	var there []tools.FileInfo
	status := c.ask(tools.Request{Operation: tools.FileStatus, File: file}, &there)
	if status == nil && !req.Overwrite {
		return nil, &types.FileAlreadyExists{FileFault: types.FileFault{File: req.GuestFilePath}}
	}
	return t.issue(c, tools.Request{Operation: tools.WriteFile, File: file}), nil
}

// ServeHTTP moves one file: GET out of the guest, PUT into it.
func (t *Transfers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	operations := map[string]tools.Operation{http.MethodGet: tools.ReadFile, http.MethodPut: tools.WriteFile}
	operation, ok := operations[r.Method]
	if !ok {
		http.Error(w, "GET or PUT", http.StatusMethodNotAllowed)
		return
	}
	one, ok := t.redeem(r.URL.Query().Get("token"), operation)
	if !ok {
		http.Error(w, "the token is unknown, used or expired", http.StatusForbidden)
		return
	}
	var err error
	if operation == tools.ReadFile {
		err = send(r.Context(), w, one)
	} else {
		err = receive(r, one)
	}
	var fault *tools.Fault
	switch {
	case errors.As(err, &fault):
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusInternalServerError)
		_ = json.NewEncoder(w).Encode(fault) // fails only when nobody listens any more
	case err != nil:
		log.Printf("%s %s: %v", operation, one.request.File.Path, err)
		http.Error(w, "the guest does not answer", http.StatusInternalServerError)
	}
}

func send(ctx context.Context, w http.ResponseWriter, one ticket) error {
	var info tools.FileInfo
	content, err := one.caller.open(ctx, one.request, &info)
	if err != nil {
		return err
	}
	defer content.Close()
	w.Header().Set("Content-Length", strconv.FormatInt(info.Size, 10))
	w.Header().Set("Content-Type", "application/octet-stream")
	// Not one byte more than announced, if the file grows meanwhile; fewer break the connection, as they should.
	if _, err := io.CopyN(w, content, info.Size); err != nil {
		log.Printf("the transfer of %s broke off: %v", one.request.File.Path, err)
	}
	return nil
}

func receive(r *http.Request, one ticket) error {
	request := one.request
	request.Login = one.caller.login
	return one.caller.tools.Do(r.Context(), request, r.Body, nil)
}
