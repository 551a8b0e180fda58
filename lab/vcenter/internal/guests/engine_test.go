package guests_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"managedvm.dev/lab/vcenter/internal/guests"
	"managedvm.dev/lab/vcenter/internal/tools"
)

const password = "correct horse"

var root = tools.Login{User: "root", Password: password}

// open returns an engine over the settings that `python -m lab.guests build` wrote, in directories of its own.
func open(t *testing.T) (*guests.Engine, chan *guests.Guest) {
	t.Helper()
	file := os.Getenv("MANAGEDVM_LAB_GUESTS")
	if file == "" {
		t.Skip("MANAGEDVM_LAB_GUESTS names no settings of `python -m lab.guests build`: no guests here")
	}
	settings, err := guests.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	settings.State = filepath.Join(filepath.Dir(settings.State), "disks-of-a-test")
	settings.Label += "-test"
	changed := make(chan *guests.Guest, 1000)
	engine, err := guests.Open(t.Context(), settings, func(g *guests.Guest) { changed <- g })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(settings.State); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("disks are left behind: %v", err)
		}
	})
	return engine, changed
}

func running(t *testing.T, engine *guests.Engine, changed chan *guests.Guest, id string) *guests.Guest {
	t.Helper()
	g, err := engine.Create(t.Context(), id, "web-01", guests.Spec{Image: "debian", MemoryMiB: 192, DiskMiB: 640, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, changed, func() bool { return g.Facts().ToolsRun })
	return g
}

// until waits for news of the guests until the condition holds.
func until(t *testing.T, changed chan *guests.Guest, holds func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for !holds() {
		select {
		case <-changed:
		case <-deadline:
			t.Fatal("waited for 30 s in vain")
		}
	}
}

// run starts a shell command as root, waits for its end and returns its exit code and what it wrote.
func run(t *testing.T, g *guests.Guest, shell string) (int32, string) {
	t.Helper()
	program := &tools.Program{Path: "/bin/sh", Arguments: "-c '" + shell + "' > /run/said 2>&1"}
	var pid int64
	ask(t, g, tools.Request{Operation: tools.Start, Login: root, Program: program}, nil, &pid)
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		var found []tools.Process
		ask(t, g, tools.Request{Operation: tools.Processes, Login: root, Pids: []int64{pid}}, nil, &found)
		if len(found) == 1 && found[0].Ended != nil {
			return found[0].ExitCode, strings.TrimSpace(read(t, g, "/run/said"))
		}
	}
	t.Fatalf("%s does not end", shell)
	return 0, ""
}

func ask(t *testing.T, g *guests.Guest, request tools.Request, content io.Reader, value any) {
	t.Helper()
	if err := g.Tools().Do(t.Context(), request, content, value); err != nil {
		t.Fatalf("%s: %v", request.Operation, err)
	}
}

func read(t *testing.T, g *guests.Guest, path string) string {
	t.Helper()
	request := tools.Request{Operation: tools.ReadFile, Login: root, File: &tools.File{Path: path}}
	rest, err := g.Tools().Open(t.Context(), request, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer rest.Close()
	content, err := io.ReadAll(bufio.NewReader(rest))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestAGuestIsAMachineOfItsOwn(t *testing.T) {
	engine, changed := open(t)
	g := running(t, engine, changed, "11111111111111111111111111111111")
	t.Run("its init is systemd and all of its units are well", func(t *testing.T) {
		code, said := run(t, g, "cat /proc/1/comm; systemctl is-system-running --wait")
		if code != 0 || said != "systemd\nrunning" {
			t.Errorf("got %d %q", code, said)
		}
	})
	t.Run("it serves ssh and http", func(t *testing.T) {
		if code, said := run(t, g, "systemctl is-active ssh nginx && curl -sf http://127.0.0.1/ | grep -c nginx"); code != 0 {
			t.Errorf("got %d %q", code, said)
		}
	})
	t.Run("its description names its disk and its address", func(t *testing.T) {
		is := g.Facts().Description
		if is.HostName != "web-01" || len(is.Disks) != 1 || is.Disks[0].Path != "/" || len(is.Networks) != 1 {
			t.Errorf("got %+v", is)
		}
		if size := is.Disks[0].Capacity >> 20; size < 560 || size > 640 {
			t.Errorf("the disk has %d MiB", size)
		}
	})
	t.Run("its disk can be full", func(t *testing.T) {
		code, said := run(t, g, "cat /dev/zero > /fill; sync; cat /dev/zero >> /fill; head -c 1000000 /dev/zero > /etc/more")
		if code == 0 || !strings.Contains(said, "No space left on device") {
			t.Errorf("got %d %q", code, said)
		}
		until(t, changed, func() bool { return g.Facts().Description.Disks[0].Free < 1<<20 })
		if code, said := run(t, g, "rm /fill; head -c 100000 /dev/zero > /etc/more"); code != 0 {
			t.Errorf("got %d %q", code, said)
		}
	})
	t.Run("its memory ends, and only its own process dies of it", func(t *testing.T) {
		code, said := run(t, g, "perl -e \"my @a; push @a, chr(120) x 1048576 while 1\"; echo ended $?")
		if code != 0 || !strings.HasSuffix(said, "ended 137") {
			t.Errorf("got %d %q", code, said)
		}
		if !g.Facts().On {
			t.Error("the guest is off")
		}
	})
	t.Run("its journal is on its disk", func(t *testing.T) {
		if code, said := run(t, g, "logger canary-entry; journalctl --sync; grep -rqs canary-entry /var/log/journal"); code != 0 {
			t.Errorf("got %d %q", code, said)
		}
	})
}

func TestPowerFollowsTheGuestAndTheGuestFollowsPower(t *testing.T) {
	engine, changed := open(t)
	g := running(t, engine, changed, "11111111111111111111111111111112")
	t.Run("a reboot from inside ends and starts the same disk", func(t *testing.T) {
		run(t, g, "touch /kept")
		if err := g.Ask(t.Context(), tools.Reboot); err != nil {
			t.Fatal(err)
		}
		until(t, changed, func() bool { return !g.Facts().ToolsRun })
		until(t, changed, func() bool { return g.Facts().ToolsRun })
		if code, _ := run(t, g, "test -e /kept"); code != 0 {
			t.Error("the disk is another one")
		}
	})
	t.Run("a guest without its Tools is on and silent", func(t *testing.T) {
		ask(t, g, tools.Request{Operation: tools.Start, Login: root,
			Program: &tools.Program{Path: "/bin/systemctl", Arguments: "stop open-vm-tools"}}, nil, nil)
		until(t, changed, func() bool { return !g.Facts().ToolsRun })
		if facts := g.Facts(); !facts.On || facts.Heartbeat != guests.Gray {
			t.Errorf("got %+v", facts)
		}
		if err := g.Ask(t.Context(), tools.PowerOff); err == nil {
			t.Error("Tools that do not run heard something")
		}
		if err := g.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		until(t, changed, func() bool { return g.Facts().ToolsRun })
	})
	t.Run("a stop from inside leaves it off", func(t *testing.T) {
		if err := g.Ask(t.Context(), tools.PowerOff); err != nil {
			t.Fatal(err)
		}
		until(t, changed, func() bool { return g.Facts().Stopped })
		if g.Facts().On {
			t.Error("it is stopped and on")
		}
	})
}

func TestASnapshotIsTheDiskOfThatInstant(t *testing.T) {
	engine, changed := open(t)
	g := running(t, engine, changed, "11111111111111111111111111111113")
	run(t, g, "echo first > /etc/version-of-test")
	if err := g.Snapshot(t.Context(), "before"); err != nil {
		t.Fatal(err)
	}
	run(t, g, "echo second > /etc/version-of-test; touch /etc/added")
	if err := g.Revert(t.Context(), "before"); err != nil {
		t.Fatal(err)
	}
	if g.Facts().On {
		t.Error("a revert to a snapshot without memory leaves the machine off")
	}
	if err := g.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, changed, func() bool { return g.Facts().ToolsRun })
	if found := read(t, g, "/etc/version-of-test"); found != "first\n" {
		t.Errorf("got %q", found)
	}
	if code, _ := run(t, g, "test -e /etc/added"); code == 0 {
		t.Error("a file made after the snapshot is still there")
	}
	if err := g.DropSnapshot("before"); err != nil {
		t.Error(err)
	}
	if err := g.Revert(t.Context(), "before"); err == nil {
		t.Error("a dropped snapshot can be reverted to")
	}
}

func TestTheGuestDecidesWhoMayDoWhat(t *testing.T) {
	engine, changed := open(t)
	g := running(t, engine, changed, "11111111111111111111111111111115")
	if code, said := run(t, g, "useradd -m anna && echo anna:secret | chpasswd"); code != 0 {
		t.Fatal(said)
	}
	anna := tools.Login{User: "anna", Password: "secret"}
	write := func(who tools.Login, path, content string, overwrite bool) error {
		file := &tools.File{Path: path, Size: int64(len(content)), Overwrite: overwrite}
		return g.Tools().Do(t.Context(), tools.Request{Operation: tools.WriteFile, Login: who, File: file}, strings.NewReader(content), nil)
	}
	large := string(bytes.Repeat([]byte("0123456789abcdef"), 1<<17))
	cases := []struct {
		name, fault string
		act         func() error
	}{
		{"a wrong password", "InvalidGuestLogin", func() error { return write(tools.Login{User: "root", Password: "x"}, "/root/a", "a", true) }},
		{"an unknown user", "InvalidGuestLogin", func() error { return write(tools.Login{User: "nobody-here", Password: "x"}, "/root/a", "a", true) }},
		{"a user without a password", "InvalidGuestLogin", func() error { return write(tools.Login{User: "daemon"}, "/a", "a", true) }},
		{"a directory of root", "GuestPermissionDenied", func() error { return write(anna, "/etc/anna", "a", true) }},
		{"a large file into a directory of root", "GuestPermissionDenied", func() error { return write(anna, "/etc/anna", large, true) }},
		{"an existing file", "FileAlreadyExists", func() error { return write(root, "/etc/hostname", "a", false) }},
		{"a missing directory", "FileNotFound", func() error { return write(root, "/nowhere/a", "a", true) }},
		{"her own home", "", func() error { return write(anna, "/home/anna/a", large, false) }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var fault *tools.Fault
			err := c.act()
			if c.fault == "" && err != nil || c.fault != "" && (!errors.As(err, &fault) || fault.Kind != c.fault) {
				t.Errorf("got %v, expected %q", err, c.fault)
			}
		})
	}
	if content := read(t, g, "/home/anna/a"); content != large {
		t.Errorf("%d bytes arrived, %d were sent", len(content), len(large))
	}
}
