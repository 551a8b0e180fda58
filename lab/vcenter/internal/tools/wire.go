// Package tools is what the simulator and the daemon inside a guest say to each other.
//
// A request is one line of JSON, then the content of a file where the operation takes one. An answer has the same
// shape. HTTP over a Unix socket only carries the two.
package tools

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"
	"time"
)

// Socket is where the daemon listens, as seen inside the guest.
const Socket = "/run/vmtoolsd.sock"

// Operation names one thing that the daemon can do.
type Operation string

// The operations. Those on files are carried out with the rights of the user who logged in.
const (
	Describe    Operation = "describe"
	CheckLogin  Operation = "check-login"
	Start       Operation = "start"
	Processes   Operation = "processes"
	Terminate   Operation = "terminate"
	Environment Operation = "environment"
	Power       Operation = "power"
	FileStatus  Operation = "file-status"
	ReadFile    Operation = "read-file"
	WriteFile   Operation = "write-file"
	ListFiles   Operation = "list-files"
	MakeDir     Operation = "make-directory"
	RemoveFile  Operation = "remove-file"
	RemoveDir   Operation = "remove-directory"
	Move        Operation = "move"
	MakeTemp    Operation = "make-temporary"
	Attributes  Operation = "attributes"
)

// Action is what Power asks of the guest's init; the words are systemctl's.
type Action string

// The actions of Power.
const (
	PowerOff Action = "poweroff"
	Reboot   Action = "reboot"
)

// Login is a user of the guest and the password given for that user.
type Login struct {
	User     string `json:"user"`
	Password string `json:"password"`
}

// Request is the first line sent to the daemon. Each operation reads the fields that it needs.
type Request struct {
	Operation Operation `json:"operation"`
	Login     Login     `json:"login"`
	Program   *Program  `json:"program,omitempty"`
	Pids      []int64   `json:"pids,omitempty"`
	Names     []string  `json:"names,omitempty"` // of Environment
	Action    Action    `json:"action,omitempty"`
	File      *File     `json:"file,omitempty"`
}

// Program is what to start: a path, and arguments that the guest's shell splits, as VMware Tools does on Linux.
type Program struct {
	Path        string   `json:"path"`
	Arguments   string   `json:"arguments"`
	Directory   string   `json:"directory"`
	Environment []string `json:"environment,omitempty"`
}

// File says which file or directory an operation is about, and how.
type File struct {
	Path      string  `json:"path"`
	Target    string  `json:"target,omitempty"`
	Pattern   string  `json:"pattern,omitempty"`
	Prefix    string  `json:"prefix,omitempty"`
	Suffix    string  `json:"suffix,omitempty"`
	Directory bool    `json:"directory,omitempty"`
	Parents   bool    `json:"parents,omitempty"`
	Recursive bool    `json:"recursive,omitempty"`
	Overwrite bool    `json:"overwrite,omitempty"`
	Size      int64   `json:"size,omitempty"`
	Mode      *uint32 `json:"mode,omitempty"`
	Owner     *int    `json:"owner,omitempty"`
	Group     *int    `json:"group,omitempty"`
}

// Answer is the first line that comes back: a fault, or the value of the operation.
type Answer struct {
	Fault *Fault          `json:"fault,omitempty"`
	Value json.RawMessage `json:"value,omitempty"`
}

// Process is one process of the guest. Ended and ExitCode are known only of those started through the daemon.
type Process struct {
	Pid         int64      `json:"pid"`
	Name        string     `json:"name"`
	Owner       string     `json:"owner"`
	CommandLine string     `json:"commandLine"`
	Started     time.Time  `json:"started"`
	Ended       *time.Time `json:"ended,omitempty"`
	ExitCode    int32      `json:"exitCode"`
}

// FileInfo is one entry of a directory, or the file that is about to be transferred.
type FileInfo struct {
	Path     string    `json:"path"`
	Kind     string    `json:"kind"` // "file", "directory" or "symlink", vSphere's words
	Size     int64     `json:"size"`
	Mode     uint32    `json:"mode"`
	Owner    int32     `json:"owner"`
	Group    int32     `json:"group"`
	Modified time.Time `json:"modified"`
	Target   string    `json:"target,omitempty"`
}

// Description is what the guest says about itself; sizes are bytes.
type Description struct {
	HostName string      `json:"hostName"`
	System   string      `json:"system"`
	Disks    []Disk      `json:"disks"`
	Networks []Interface `json:"networks"`
}

// Disk is one mounted file system that has a device behind it; sizes are bytes.
type Disk struct {
	Path     string `json:"path"`
	Kind     string `json:"kind"`
	Capacity int64  `json:"capacity"`
	Free     int64  `json:"free"`
}

// Interface is one network interface with its addresses in CIDR notation.
type Interface struct {
	Name      string   `json:"name"`
	MAC       string   `json:"mac"`
	Addresses []string `json:"addresses"`
}

// Fault is an operation that was refused or failed. Kind is the name of the fault in the vSphere API.
type Fault struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
}

func (f *Fault) Error() string { return fmt.Sprintf("%s: %s", f.Kind, f.Message) }

// FaultOf names the fault that vSphere uses for what the guest's kernel answered.
func FaultOf(err error) *Fault {
	var fault *Fault
	if errors.As(err, &fault) {
		return fault
	}
	kinds := []struct {
		cause error
		kind  string
	}{
		{fs.ErrNotExist, "FileNotFound"},
		{fs.ErrPermission, "GuestPermissionDenied"},
		{syscall.ENOTEMPTY, "DirectoryNotEmpty"}, // Go counts it as ErrExist, so it comes first
		{fs.ErrExist, "FileAlreadyExists"},
		{syscall.ENOTDIR, "NotADirectory"},
		{syscall.EISDIR, "NotAFile"},
		{syscall.ENOSPC, "NoDiskSpace"},
		{fs.ErrInvalid, "InvalidArgument"},
	}
	for _, k := range kinds {
		if errors.Is(err, k.cause) {
			return &Fault{Kind: k.kind, Message: err.Error()}
		}
	}
	return &Fault{Kind: "GuestOperationsFault", Message: err.Error()}
}

// WriteLine sends one JSON value and the line end after it.
func WriteLine(w io.Writer, value any) error {
	return json.NewEncoder(w).Encode(value)
}

// ReadLine reads one JSON value; what follows it stays in the reader.
func ReadLine(r *bufio.Reader, value any) error {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("incomplete message: %w", err)
	}
	return json.Unmarshal(line, value)
}
