package vcenter_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vim25/xml"

	"managedvm.dev/lab/vcenter/internal/vcenter"
)

const envelope = `<?xml version="1.0"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"` +
	` xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>%BODY%</soapenv:Body></soapenv:Envelope>`

// raw posts bytes in a session and returns the status and the answer.
func (w *world) raw(cookie *http.Cookie, client *http.Client, body string) (int, string) {
	w.Helper()
	request, err := http.NewRequest(http.MethodPost, w.url.String(), strings.NewReader(body))
	w.must(err)
	if cookie != nil {
		request.AddCookie(cookie)
	}
	res, err := client.Do(request)
	w.must(err)
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	w.must(err)
	return res.StatusCode, string(answer)
}

func (w *world) session() (*http.Cookie, *http.Client) {
	w.Helper()
	c := w.client(admin)
	for _, cookie := range c.Jar.Cookies(w.url) {
		if cookie.Name == soap.SessionCookieName {
			return cookie, &http.Client{Transport: c.DefaultTransport()}
		}
	}
	w.Fatal("the login brought no cookie")
	return nil, nil
}

func TestGarbageIsAFault(t *testing.T) {
	w := start(t)
	cookie, client := w.session()
	for _, body := range []string{
		"", "not XML", "<a>", envelope,
		strings.Replace(envelope, "%BODY%", "<NoSuchMethod/>", 1),
		strings.Replace(envelope, "%BODY%", `<ManagedObjectReference type="Folder">x</ManagedObjectReference>`, 1),
		strings.Replace(envelope, "%BODY%", `<Login xmlns="urn:vim25"/>`, 1),
		strings.Replace(envelope, "%BODY%", `<PowerOnVM_Task xmlns="urn:vim25"><_this type="Folder">group-d1</_this></PowerOnVM_Task>`, 1),
	} {
		status, answer := w.raw(cookie, client, body)
		if status != http.StatusInternalServerError || !strings.Contains(answer, "Fault") {
			t.Errorf("%.60q: status %d, %.80q", body, status, answer)
		}
	}
	w.expect("the next call", w.reconfigure(w.client(admin), web, configSpec{NumCPUs: 3}), "")
}

// methodNames are all methods of the table.
func methodNames(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../privileges.json")
	if err != nil {
		t.Fatal(err)
	}
	var table struct {
		Methods map[string]json.RawMessage `json:"methods"`
	}
	if err := json.Unmarshal(text, &table); err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range table.Methods {
		names = append(names, name)
	}
	return names
}

// Every method is called on every kind of object with nothing in its arguments: whatever it
// answers, the server has to be there afterwards.
func TestNoCallEndsTheServer(t *testing.T) {
	w := start(t)
	cookie, client := w.session()
	facts := w.facts(web)
	targets := []types.ManagedObjectReference{
		{Type: "VirtualMachine", Value: facts.MoID}, {Type: "VirtualMachine", Value: "vm-0"},
		{Type: "Folder", Value: "group-d1"}, {Type: "ClusterComputeResource", Value: w.clusterFacts("cluster-1").MoID},
		{Type: "PropertyCollector", Value: "propertyCollector"}, {Type: "EventManager", Value: "EventManager"},
		{Type: "SessionManager", Value: "SessionManager"}, {Type: "VirtualMachineSnapshot", Value: "snapshot-1"},
	}
	types25 := types.TypeFunc()
	for _, name := range methodNames(t) {
		if name == "Logout" || strings.HasPrefix(name, "WaitForUpdates") {
			continue // they end or hold this session, which is what they are for
		}
		kind, ok := types25(name)
		if !ok {
			t.Fatalf("%s is not a method", name)
		}
		for _, target := range targets {
			body := reflect.New(kind)
			body.Elem().FieldByName("This").Set(reflect.ValueOf(target))
			var out bytes.Buffer
			element := xml.StartElement{Name: xml.Name{Space: "urn:vim25", Local: name}}
			w.must(xml.NewEncoder(&out).EncodeElement(body.Interface(), element))
			w.raw(cookie, client, strings.Replace(envelope, "%BODY%", out.String(), 1))
		}
	}
	w.expect("the next call", w.reconfigure(w.client(admin), "kunde-b/db-01", configSpec{Annotation: "still here"}), "")
}

func TestManyClientsAtOnce(t *testing.T) {
	w := start(t, func(o *vcenter.Options) { o.Inventory.Fleet = vcenter.FleetSpec{Count: 40, Folders: 4} })
	paths := w.Paths()
	done := make(chan string)
	const workers = 6
	for i := range workers {
		go func() {
			c, err := w.login(admin)
			if err != nil {
				done <- err.Error()
				return
			}
			s := w.stream(c, vmSet())
			s.fill()
			for n := range 10 {
				path := paths[(i*10+n)%len(paths)]
				if got := w.reconfigure(c, path, configSpec{Annotation: "x"}); got != "" {
					done <- path + ": " + got
					return
				}
				w.change(path, vcenter.VMChange{Heartbeat: pointer("yellow")})
				s.next()
			}
			done <- faultOf(c.Logout(ctx))
		}()
	}
	for range workers {
		w.expect("a client", <-done, "")
	}
	w.eventually("no session is left", func() bool { return w.SessionCount() == 0 })
}
