package admin

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"managedvm.dev/lab/vcenter/internal/vcenter"
)

type door struct {
	*testing.T
	url     string
	dropped int
}

func open(t *testing.T) *door {
	t.Helper()
	privileges, err := os.ReadFile("../../privileges.json")
	if err != nil {
		t.Fatal(err)
	}
	v, err := vcenter.New(vcenter.Options{
		Privileges: privileges,
		Users:      vcenter.Users{Users: []vcenter.User{{Name: "a", Password: "b", Role: "Administrator"}}},
		Inventory: vcenter.Inventory{
			Datacenter: "Berlin", Clusters: []vcenter.ClusterSpec{{Name: "cluster-1", Hosts: 2}},
			VMs: []vcenter.VMSpec{{Path: "kunde-a/web-01", Cluster: "cluster-1"}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	d := &door{T: t}
	server := httptest.NewServer(Handler(v, func() { d.dropped++ }))
	d.url = server.URL
	t.Cleanup(func() { server.Close(); v.Close() })
	return d
}

// ask returns the status and the decoded answer.
func (d *door) ask(method, path, body string) (int, map[string]any) {
	d.Helper()
	request, err := http.NewRequest(method, d.url+path, strings.NewReader(body))
	if err != nil {
		d.Fatal(err)
	}
	res, err := http.DefaultClient.Do(request)
	if err != nil {
		d.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		d.Fatal(err)
	}
	var answer map[string]any
	if err := json.Unmarshal(text, &answer); err != nil {
		d.Fatalf("%s %s: %v in %q", method, path, err, text)
	}
	return res.StatusCode, answer
}

const web = "/vm?path=kunde-a/web-01"

func TestWhatIsWrongIsSaidInJSON(t *testing.T) {
	d := open(t)
	for _, step := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"POST", web, `{"heartbeet": "red"}`, 400, "heartbeet"},
		{"POST", web, `{"heartbeat": "blue"}`, 400, "blue"},
		{"POST", web, `{"cpus": 0}`, 400, "positive"},
		{"POST", web, `{"host": "esx-9"}`, 400, "esx-9"},
		{"POST", web, `{"rename": ""}`, 400, "nothing"},
		{"POST", "/vm?path=kunde-a/web-09", `{}`, 404, "web-09"},
		{"GET", "/vms?path=kunde-a/web-09", ``, 404, "web-09"},
		{"DELETE", "/vm?path=kunde-a/web-09", ``, 404, "web-09"},
		{"POST", "/vm/create", `{"path": "kunde-a/web-01", "cluster": "cluster-1"}`, 400, "exists already"},
		{"POST", "/vm/create", `{"path": "kunde-a/web-01/inside", "cluster": "cluster-1"}`, 400, "no folder"},
		{"POST", "/vm/ha-restart?path=kunde-a/web-01", `{"kind": "explode"}`, 400, "explode"},
		{"POST", "/cluster?name=cluster-9", `{}`, 404, "cluster-9"},
		{"POST", "/cluster?name=cluster-1", `{"vmMonitoring": "x"}`, 400, "vmMonitoring"},
		{"POST", "/fault", `{"kind": "earthquake"}`, 400, "earthquake"},
		{"GET", "/elsewhere", ``, 404, "/elsewhere"},
	} {
		status, answer := d.ask(step.method, step.path, step.body)
		text, _ := answer["error"].(string)
		if status != step.status || !strings.Contains(text, step.says) {
			t.Errorf("%s %s %s: %d %q", step.method, step.path, step.body, status, text)
		}
	}
}

func TestAChangeAnswersWithTheFacts(t *testing.T) {
	d := open(t)
	body := `{"heartbeat": "red", "cpus": 3, "memory": 2048, "cpuMHz": 700, "memoryMiB": 512, "shutdownSeconds": 9,
		"guestDisks": [{"path": "/", "capacityBytes": 100, "freeBytes": 5}], "rename": "web-02", "moveTo": "kunde-c"}`
	status, answer := d.ask("POST", web, body)
	if status != 200 || answer["path"] != "kunde-c/web-02" || answer["heartbeat"] != "red" || answer["cpus"] != 3.0 ||
		answer["memoryMiB"] != 2048.0 || answer["cpuMHz"] != 700.0 || answer["shutdownSeconds"] != 9.0 {
		t.Errorf("%d %v", status, answer)
	}
	_, paths := d.ask("GET", "/vms", "")
	if list, _ := paths["paths"].([]any); len(list) != 1 || list[0] != "kunde-c/web-02" {
		t.Errorf("the paths are %v", paths)
	}
}

func TestAnOverrideIsSetAndRemoved(t *testing.T) {
	d := open(t)
	_, answer := d.ask("POST", "/vm/ha-override?path=kunde-a/web-01", `{"restartPriority": "low", "failureInterval": 99}`)
	override, _ := answer["haOverride"].(map[string]any)
	if override["restartPriority"] != "low" || override["failureInterval"] != 99.0 {
		t.Errorf("the override is %v", answer["haOverride"])
	}
	_, cluster := d.ask("POST", "/cluster?name=cluster-1", `{"options": {"das.x": "1"}, "clearOverrides": true}`)
	if overrides, _ := cluster["overrides"].(map[string]any); len(overrides) != 0 {
		t.Errorf("left over: %v", overrides)
	}
	if options, _ := cluster["options"].(map[string]any); options["das.x"] != "1" {
		t.Errorf("the options are %v", options)
	}
}

func TestFaultsAreListedWithWhatRemains(t *testing.T) {
	d := open(t)
	_, answer := d.ask("POST", "/fault", `{"kind": "reject", "method": "ReconfigVM_Task", "fault": "NoPermission", "count": 2}`)
	list, _ := answer["faults"].([]any)
	if first, _ := list[0].(map[string]any); len(list) != 1 || first["remaining"] != 2.0 {
		t.Errorf("the faults are %v", list)
	}
	if d.ask("POST", "/fault", `{"kind": "refuse"}`); d.dropped != 1 {
		t.Error("refusing did not close the open connections")
	}
	d.ask("DELETE", "/fault", "")
	_, answer = d.ask("GET", "/fault", "")
	if list, _ := answer["faults"].([]any); len(list) != 0 {
		t.Errorf("the faults are %v", list)
	}
}

func TestHealthAndCallsAnswer(t *testing.T) {
	d := open(t)
	if status, answer := d.ask("GET", "/healthz", ""); status != 200 || answer["ok"] != true {
		t.Errorf("%d %v", status, answer)
	}
	if status, answer := d.ask("GET", "/calls", ""); status != 200 || answer["sessions"] != 0.0 || answer["vmReads"] != 0.0 {
		t.Errorf("%d %v", status, answer)
	}
	if status, _ := d.ask("POST", "/calls/reset", ""); status != 200 {
		t.Errorf("reset: %d", status)
	}
}
