package guests

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"strings"
	"syscall"
	"time"

	"managedvm.dev/lab/vcenter/internal/tools"
)

const (
	lookEvery    = 500 * time.Millisecond
	answerWithin = 2 * time.Second
	yellowAfter  = 10 * time.Second
	redAfter     = 30 * time.Second
	exitOfReboot = 129
)

// watch looks at a running guest until it is switched off from outside, or ends by itself.
func (g *Guest) watch(ctx context.Context, pid int) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	answered := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !alive(pid) {
			g.ended(ctx)
			return
		}
		facts, err := g.look(ctx)
		if err == nil {
			answered = time.Now()
		} else {
			facts = g.judge(err, time.Since(answered))
		}
		g.learn(pid, facts)
	}
}

// look asks the guest's Tools for a description.
func (g *Guest) look(ctx context.Context) (Facts, error) {
	limited, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	var described tools.Description
	err := g.tools.Do(limited, tools.Request{Operation: tools.Describe}, nil, &described)
	return Facts{On: true, ToolsRun: true, Heartbeat: Green, Description: described}, err
}

// judge tells stopped Tools, whose socket is gone or refuses, from a guest that hangs.
func (g *Guest) judge(err error, silent time.Duration) Facts {
	facts := g.Facts()
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		facts.ToolsRun, facts.Heartbeat = false, Gray
		return facts
	}
	switch {
	case !facts.ToolsRun || silent < yellowAfter:
	case silent < redAfter:
		facts.Heartbeat = Yellow
	default:
		facts.Heartbeat = Red
	}
	return facts
}

// ended follows a guest that stopped by itself: a reboot starts it again, all else leaves it off.
func (g *Guest) ended(ctx context.Context) {
	g.power.Lock()
	defer g.power.Unlock()
	if ctx.Err() != nil {
		return // somebody else already switched it off or started it anew
	}
	working := context.WithoutCancel(ctx)
	code, err := g.engine.podman.exitCode(working, g.containerName())
	if err != nil {
		log.Printf("guest %s: how it ended is not known: %v", g.hostName, err)
	}
	if err := g.halt(working); err != nil {
		log.Printf("guest %s: %v", g.hostName, err)
	}
	if code == exitOfReboot {
		err := g.start(working)
		if err == nil {
			return
		}
		log.Printf("guest %s does not start again: %v", g.hostName, err)
	}
	g.learn(0, Facts{Stopped: true, Heartbeat: Gray})
}

// alive tells whether a process still runs; one that only waits to be collected does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, found := strings.Cut(string(stat), ") ")
	return found && !strings.HasPrefix(after, "Z")
}
