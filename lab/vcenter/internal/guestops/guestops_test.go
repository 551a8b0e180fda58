package guestops

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"managedvm.dev/lab/vcenter/internal/guests"
	"managedvm.dev/lab/vcenter/internal/tools"
	"managedvm.dev/lab/vcenter/internal/vcenter"
)

// daemon is a guest's Tools that keep one file in memory.
type daemon struct {
	asked   tools.Request
	content string
}

func (d *daemon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := bufio.NewReader(r.Body)
	d.asked = tools.Request{}
	if err := tools.ReadLine(body, &d.asked); err != nil {
		return
	}
	value := []byte("true")
	if d.asked.Operation == tools.WriteFile {
		sent, _ := io.ReadAll(body)
		d.content = string(sent)
	}
	if d.asked.Operation == tools.ReadFile {
		value = []byte(`{"size": 5}`)
	}
	_ = tools.WriteLine(w, tools.Answer{Value: value})
	if d.asked.Operation == tools.ReadFile {
		_, _ = io.WriteString(w, d.content)
	}
}

func callerOf(t *testing.T, handler http.Handler) *caller {
	t.Helper()
	path := filepath.Join(t.TempDir(), "socket")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	service := &http.Server{Handler: handler}
	go func() { _ = service.Serve(listener) }()
	t.Cleanup(func() { _ = service.Close() })
	client := tools.NewClient(func() (string, error) { return path, nil })
	return &caller{client, tools.Login{User: "root", Password: "secret"}}
}

// serve answers one request for a URL that was handed out, over whatever host it names.
func serve(t *Transfers, method, handedOut, content string) *httptest.ResponseRecorder {
	target, err := url.Parse(strings.Replace(handedOut, "*", "127.0.0.1", 1))
	if err != nil {
		panic(err)
	}
	recorder := httptest.NewRecorder()
	t.ServeHTTP(recorder, httptest.NewRequest(method, target.RequestURI(), strings.NewReader(content)))
	return recorder
}

func TestATransferIsDoneOnceByWhoHasItsURL(t *testing.T) {
	guest := &daemon{content: "hello"}
	transfers := NewTransfers(8443)
	c := callerOf(t, guest)
	file := &tools.File{Path: "/etc/motd"}
	handedOut := transfers.issue(c, tools.Request{Operation: tools.ReadFile, File: file})
	if !strings.HasPrefix(handedOut, "https://*:8443/guestFile?") || strings.Contains(handedOut, "secret") {
		t.Error(handedOut)
	}
	if got := serve(transfers, http.MethodPut, handedOut, "x"); got.Code != http.StatusForbidden {
		t.Errorf("a right to read let somebody write: %d", got.Code)
	}
	if got := serve(transfers, http.MethodGet, handedOut, ""); got.Code != http.StatusOK || got.Body.String() != "hello" {
		t.Errorf("got %d %q", got.Code, got.Body)
	}
	if guest.asked.Login != c.login || guest.asked.File.Path != "/etc/motd" {
		t.Errorf("the guest was asked %+v", guest.asked)
	}
	if got := serve(transfers, http.MethodGet, handedOut, ""); got.Code != http.StatusForbidden {
		t.Errorf("a used URL is good again: %d", got.Code)
	}
}

func TestAnUploadReachesTheGuest(t *testing.T) {
	guest := &daemon{}
	transfers := NewTransfers(8443)
	file := &tools.File{Path: "/etc/motd", Size: 3}
	handedOut := transfers.issue(callerOf(t, guest), tools.Request{Operation: tools.WriteFile, File: file})
	if got := serve(transfers, http.MethodPut, handedOut, "abc"); got.Code != http.StatusOK || guest.content != "abc" {
		t.Errorf("got %d, the guest has %q", got.Code, guest.content)
	}
}

func TestAnExpiredURLIsRefused(t *testing.T) {
	transfers := NewTransfers(8443)
	request := tools.Request{Operation: tools.ReadFile, File: &tools.File{Path: "/x"}}
	handedOut := transfers.issue(callerOf(t, &daemon{}), request)
	for token, one := range transfers.tickets {
		one.expires = time.Now().Add(-time.Second)
		transfers.tickets[token] = one
	}
	if got := serve(transfers, http.MethodGet, handedOut, ""); got.Code != http.StatusForbidden {
		t.Errorf("got %d", got.Code)
	}
}

func TestAGuestIsAskedOnlyWhenItCanAnswer(t *testing.T) {
	login := &types.NamePasswordAuthentication{Username: "root", Password: "x"}
	desktop := &types.NamePasswordAuthentication{Username: "root", Password: "x"}
	desktop.InteractiveSession = true
	real := &backing{Guest: &guests.Guest{}}
	cases := []struct {
		name     string
		guest    vcenter.Guest
		auth     types.BaseGuestAuthentication
		expected vcenter.Fault
	}{
		{"a VM that is off", vcenter.Guest{Tools: true, Backing: real}, login, &types.InvalidPowerState{}},
		{"Tools that do not run", vcenter.Guest{Running: true, Backing: real}, login, &types.GuestOperationsUnavailable{}},
		{"a VM without an inside", vcenter.Guest{Running: true, Tools: true}, login, &types.GuestOperationsUnavailable{}},
		{"a ticket", vcenter.Guest{Running: true, Tools: true, Backing: real}, &types.TicketedSessionAuthentication{}, &types.InvalidGuestLogin{}},
		{"a desktop", vcenter.Guest{Running: true, Tools: true, Backing: real}, desktop, &types.OperationNotSupportedByGuest{}},
		{"a guest that answers", vcenter.Guest{Running: true, Tools: true, Backing: real}, login, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, fault := access(c.guest, c.auth)
			if reflect.TypeOf(fault) != reflect.TypeOf(c.expected) {
				t.Errorf("got %T, expected %T", fault, c.expected)
			}
		})
	}
}

func TestEveryFaultOfAGuestIsOneOfVSpheres(t *testing.T) {
	request := tools.Request{Pids: []int64{7}, File: &tools.File{Path: "/x"}}
	expected := map[string]vcenter.Fault{
		"InvalidGuestLogin": &types.InvalidGuestLogin{}, "GuestPermissionDenied": &types.GuestPermissionDenied{},
		"GuestProcessNotFound": &types.GuestProcessNotFound{}, "FileNotFound": &types.FileNotFound{},
		"FileAlreadyExists": &types.FileAlreadyExists{}, "DirectoryNotEmpty": &types.DirectoryNotEmpty{},
		"NotADirectory": &types.NotADirectory{}, "NotAFile": &types.NotAFile{}, "NoDiskSpace": &types.NoDiskSpace{},
		"InvalidArgument": &types.InvalidArgument{}, "GuestOperationsFault": &types.SystemError{},
	}
	for name, fault := range expected {
		if got := faultOf(&tools.Fault{Kind: name}, request); reflect.TypeOf(got) != reflect.TypeOf(fault) {
			t.Errorf("%s became %T", name, got)
		}
	}
	if got := faultOf(errors.New("no answer"), request); reflect.TypeOf(got) != reflect.TypeFor[*types.GuestOperationsUnavailable]() {
		t.Errorf("silence became %T", got)
	}
	if got := faultOf(nil, request); got != nil {
		t.Errorf("success became %T", got)
	}
}
