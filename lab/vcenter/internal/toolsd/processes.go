package toolsd

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"managedvm.dev/lab/vcenter/internal/tools"
)

// keepEnded is how long the exit code of a started program can be asked for, as in VMware Tools.
const keepEnded = 5 * time.Minute

// table holds the programs started through the daemon. It lives only as long as the daemon, as in VMware Tools.
type table struct {
	mutex sync.Mutex
	ours  map[int64]*tools.Process
}

func newTable() table { return table{ours: map[int64]*tools.Process{}} }

func (a *account) attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: a.credential}
}

// environment is what a program of this user starts with.
func (a *account) environment() []string {
	return []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=" + a.home, "USER=" + a.name, "LOGNAME=" + a.name, "SHELL=/bin/sh",
	}
}

// variables returns the named parts of the environment as NAME=value, or all of it when no name is given.
func (a *account) variables(names []string) []string {
	return slices.DeleteFunc(a.environment(), func(one string) bool {
		name, _, _ := strings.Cut(one, "=")
		return len(names) > 0 && !slices.Contains(names, name)
	})
}

// start runs a program through the shell, as VMware Tools does on Linux, and returns its process id at once.
func (t *table) start(who *account, program *tools.Program) (int64, error) {
	if program == nil || program.Path == "" {
		return 0, &tools.Fault{Kind: "InvalidArgument", Message: "no program is given"}
	}
	if _, err := os.Stat(program.Path); err != nil {
		return 0, err
	}
	line := strings.TrimSpace(fmt.Sprintf(`"%s" %s`, program.Path, program.Arguments))
	child := exec.Command("/bin/sh", "-c", line)
	child.SysProcAttr = who.attributes()
	child.Dir = who.home
	if program.Directory != "" {
		child.Dir = program.Directory
	}
	child.Env = append(who.environment(), program.Environment...)
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.forget(time.Now())
	if err := child.Start(); err != nil {
		return 0, err
	}
	process := &tools.Process{
		Pid: int64(child.Process.Pid), Name: path.Base(program.Path), Owner: who.name,
		CommandLine: line, Started: time.Now().UTC(),
	}
	t.ours[process.Pid] = process
	go t.await(child, process)
	return process.Pid, nil
}

func (t *table) await(child *exec.Cmd, process *tools.Process) {
	err := child.Wait()
	t.mutex.Lock()
	defer t.mutex.Unlock()
	now := time.Now().UTC()
	process.Ended = &now
	process.ExitCode = exitCode(child, err)
}

// exitCode is the shell's convention: a program ended by a signal has 128 and the signal's number.
func exitCode(child *exec.Cmd, err error) int32 {
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return -1
	}
	status, ok := child.ProcessState.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return int32(128 + status.Signal())
	}
	return int32(child.ProcessState.ExitCode())
}

func (t *table) forget(now time.Time) {
	for pid, process := range t.ours {
		if process.Ended != nil && now.Sub(*process.Ended) > keepEnded {
			delete(t.ours, pid)
		}
	}
}

// list returns the asked processes, or all that run and all of ours that ended lately; an unknown id is left out.
func (t *table) list(pids []int64) ([]tools.Process, error) {
	running, err := runningProcesses()
	if err != nil {
		return nil, err
	}
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.forget(time.Now())
	found := []tools.Process{}
	for _, process := range t.ours {
		found = append(found, *process)
	}
	for _, process := range running {
		if t.ours[process.Pid] == nil {
			found = append(found, process)
		}
	}
	if len(pids) > 0 {
		found = slices.DeleteFunc(found, func(p tools.Process) bool { return !slices.Contains(pids, p.Pid) })
	}
	slices.SortFunc(found, func(a, b tools.Process) int { return int(a.Pid - b.Pid) })
	return found, nil
}

// terminate kills one process if the user may.
func terminate(who *account, pids []int64) error {
	if len(pids) != 1 || pids[0] <= 1 {
		return &tools.Fault{Kind: "InvalidArgument", Message: fmt.Sprintf("cannot terminate %v", pids)}
	}
	kill := exec.Command("/bin/sh", "-c", `kill -KILL "$1"`, "sh", fmt.Sprint(pids[0]))
	kill.SysProcAttr = who.attributes()
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", pids[0])); err != nil {
		return &tools.Fault{Kind: "GuestProcessNotFound", Message: fmt.Sprintf("no process %d", pids[0])}
	}
	if err := kill.Run(); err != nil {
		return &tools.Fault{Kind: "GuestPermissionDenied", Message: fmt.Sprintf("%s may not end %d", who.name, pids[0])}
	}
	return nil
}
