package toolsd

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"managedvm.dev/lab/vcenter/internal/tools"
)

// hand carries out one operation as Hand does in a process of its own, and returns the answer and what follows it.
func hand(t *testing.T, operation tools.Operation, file tools.File, content string) (tools.Answer, string) {
	t.Helper()
	var in, out bytes.Buffer
	if err := tools.WriteLine(&in, tools.Request{Operation: operation, File: &file}); err != nil {
		t.Fatal(err)
	}
	in.WriteString(content)
	if code := Hand(&in, &out); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	var answer tools.Answer
	rest := bufio.NewReader(&out)
	if err := tools.ReadLine(rest, &answer); err != nil {
		t.Fatal(err)
	}
	following, err := io.ReadAll(rest)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(following)
}

func TestAFileArrivesWholeOrNotAtAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	mode := uint32(0o640)
	wanted := tools.File{Path: path, Size: 5, Mode: &mode}
	if answer, _ := hand(t, tools.WriteFile, wanted, "hello"); answer.Fault != nil {
		t.Fatal(answer.Fault)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v %v", info, err)
	}
	wanted.Overwrite = true
	if answer, _ := hand(t, tools.WriteFile, wanted, "hel"); answer.Fault == nil {
		t.Error("a transfer that broke off was taken for whole")
	}
	if _, content := hand(t, tools.ReadFile, tools.File{Path: path}, ""); content != "hello" {
		t.Errorf("the file now holds %q", content)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestWhatIsRefusedIsNamedAsVSphereNamesIt(t *testing.T) {
	directory := t.TempDir()
	file := filepath.Join(directory, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		operation tools.Operation
		file      tools.File
		fault     string
	}{
		{tools.ReadFile, tools.File{Path: file + "-not"}, "FileNotFound"},
		{tools.ReadFile, tools.File{Path: directory}, "NotAFile"},
		{tools.WriteFile, tools.File{Path: file}, "FileAlreadyExists"},
		{tools.RemoveFile, tools.File{Path: directory}, "NotAFile"},
		{tools.RemoveDir, tools.File{Path: file}, "NotADirectory"},
		{tools.RemoveDir, tools.File{Path: directory}, "DirectoryNotEmpty"},
		{tools.MakeDir, tools.File{Path: directory}, "FileAlreadyExists"},
		{tools.MakeDir, tools.File{Path: file + "-not/below"}, "FileNotFound"},
		{tools.Move, tools.File{Path: file, Target: directory}, "FileAlreadyExists"},
		{tools.ListFiles, tools.File{Path: directory, Pattern: "("}, "InvalidArgument"},
		{tools.Start, tools.File{Path: file}, "InvalidArgument"},
	}
	for _, c := range cases {
		answer, _ := hand(t, c.operation, c.file, "")
		if answer.Fault == nil || answer.Fault.Kind != c.fault {
			t.Errorf("%s %s: got %v, expected %s", c.operation, c.file.Path, answer.Fault, c.fault)
		}
	}
}

func TestAListingIsFilteredByARegularExpression(t *testing.T) {
	directory := t.TempDir()
	for _, name := range []string{"one.conf", "two.conf", "three"} {
		if err := os.WriteFile(filepath.Join(directory, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	answer, _ := hand(t, tools.ListFiles, tools.File{Path: directory, Pattern: `^t.*\.conf$`}, "")
	var found []tools.FileInfo
	if err := json.Unmarshal(answer.Value, &found); err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || found[0].Path != "two.conf" || found[0].Kind != "file" {
		t.Errorf("got %+v", found)
	}
}

func TestNothingIsDoneForWhoIsNotKnown(t *testing.T) {
	service := httptest.NewServer(&server{processes: newTable()})
	defer service.Close()
	marker := filepath.Join(t.TempDir(), "marker")
	for _, operation := range []tools.Operation{tools.Start, tools.Processes, tools.Terminate, tools.WriteFile, tools.CheckLogin} {
		var line bytes.Buffer
		request := tools.Request{
			Operation: operation, Login: tools.Login{User: "nobody-of-this-name", Password: "x"},
			Program: &tools.Program{Path: "/bin/touch", Arguments: marker}, File: &tools.File{Path: marker},
		}
		if err := tools.WriteLine(&line, request); err != nil {
			t.Fatal(err)
		}
		response, err := http.Post(service.URL, "application/json", &line)
		if err != nil {
			t.Fatal(err)
		}
		var answer tools.Answer
		if err := tools.ReadLine(bufio.NewReader(response.Body), &answer); err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if answer.Fault == nil || answer.Fault.Kind != "InvalidGuestLogin" {
			t.Errorf("%s: %+v", operation, answer)
		}
	}
	if _, err := os.Stat(marker); !errors.Is(err, os.ErrNotExist) {
		t.Error("something was done all the same")
	}
}

func TestAnEndedProgramIsRememberedForFiveMinutes(t *testing.T) {
	ended := time.Now()
	known := newTable()
	known.ours[7] = &tools.Process{Pid: 7, Ended: &ended}
	known.ours[8] = &tools.Process{Pid: 8}
	known.forget(ended.Add(keepEnded))
	if known.ours[7] == nil {
		t.Error("forgotten too early")
	}
	known.forget(ended.Add(keepEnded + time.Second))
	if known.ours[7] != nil || known.ours[8] == nil {
		t.Errorf("%v", known.ours)
	}
}

func TestTheProcessTableHoldsThisVeryProcess(t *testing.T) {
	running, err := runningProcesses()
	if err != nil {
		t.Fatal(err)
	}
	for _, process := range running {
		if process.Pid == int64(os.Getpid()) {
			if !strings.Contains(process.CommandLine, "toolsd.test") || time.Since(process.Started) > time.Hour {
				t.Errorf("%+v", process)
			}
			return
		}
	}
	t.Error("it is not there")
}
