package toolsd

import (
	"bytes"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"time"

	"managedvm.dev/lab/vcenter/internal/tools"
)

// ticksPerSecond is the unit of the times in /proc/<pid>/stat: USER_HZ, 100 on every Linux that Go runs on.
const ticksPerSecond = 100

// runningProcesses reads the guest's process table. A process that ends while it is read is left out.
func runningProcesses() ([]tools.Process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	booted, err := bootTime()
	if err != nil {
		return nil, err
	}
	found := []tools.Process{}
	for _, entry := range entries {
		pid, err := strconv.ParseInt(entry.Name(), 10, 64)
		if err != nil {
			continue
		}
		if process, err := readProcess(pid, booted); err == nil {
			found = append(found, process)
		}
	}
	return found, nil
}

func readProcess(pid int64, booted time.Time) (tools.Process, error) {
	directory := fmt.Sprintf("/proc/%d", pid)
	stat, err := os.ReadFile(directory + "/stat")
	if err != nil {
		return tools.Process{}, err
	}
	info, err := os.Stat(directory)
	if err != nil {
		return tools.Process{}, err
	}
	command, err := os.ReadFile(directory + "/cmdline")
	if err != nil {
		return tools.Process{}, err
	}
	// The name stands in parentheses and may itself hold spaces and parentheses; the numbers follow the last one.
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return tools.Process{}, fmt.Errorf("unexpected %s/stat", directory)
	}
	fields := strings.Fields(string(stat[end+1:]))
	const startTime = 19 // field 22 of proc(5), counted from the third
	if len(fields) <= startTime {
		return tools.Process{}, fmt.Errorf("unexpected %s/stat", directory)
	}
	ticks, err := strconv.ParseInt(fields[startTime], 10, 64)
	if err != nil {
		return tools.Process{}, err
	}
	return tools.Process{
		Pid:         pid,
		Name:        string(stat[open+1 : end]),
		Owner:       ownerName(info.Sys().(*syscall.Stat_t).Uid),
		CommandLine: strings.TrimSpace(strings.ReplaceAll(string(command), "\x00", " ")),
		Started:     booted.Add(time.Duration(ticks) * time.Second / ticksPerSecond),
	}, nil
}

func ownerName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if who, err := user.LookupId(id); err == nil {
		return who.Username
	}
	return id
}

func bootTime() (time.Time, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return time.Time{}, err
	}
	for line := range strings.Lines(string(stat)) {
		if rest, ok := strings.CutPrefix(line, "btime "); ok {
			seconds, err := strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
			return time.Unix(seconds, 0).UTC(), err
		}
	}
	return time.Time{}, fmt.Errorf("/proc/stat does not tell the boot time")
}
