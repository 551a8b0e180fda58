package guestops

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/vmware/govmomi/vim25/types"

	"managedvm.dev/lab/vcenter/internal/tools"
	"managedvm.dev/lab/vcenter/internal/vcenter"
)

// patience is how long a guest may take to answer; a started program does not count, it runs on by itself.
const patience = 20 * time.Second

// caller is a client that may ask the guest: the VM is on, its Tools answer, and credentials of a kind that the
// guest can check were given. Whether they are right is the guest's own decision.
type caller struct {
	tools *tools.Client
	login tools.Login
}

func access(guest vcenter.Guest, auth types.BaseGuestAuthentication) (*caller, vcenter.Fault) {
	if !guest.Running {
		return nil, &types.InvalidPowerState{
			RequestedState: types.VirtualMachinePowerStatePoweredOn,
			ExistingState:  types.VirtualMachinePowerStatePoweredOff,
		}
	}
	real, ok := guest.Backing.(*backing)
	if !ok || !guest.Tools {
		return nil, &types.GuestOperationsUnavailable{}
	}
	given, ok := auth.(*types.NamePasswordAuthentication)
	if !ok {
		return nil, &types.InvalidGuestLogin{}
	}
	if given.InteractiveSession {
		return nil, &types.OperationNotSupportedByGuest{}
	}
	return &caller{real.Tools(), tools.Login{User: given.Username, Password: given.Password}}, nil
}

// ask sends one operation and decodes its value, if value is not nil.
func (c *caller) ask(request tools.Request, value any) vcenter.Fault {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request.Login = c.login
	return faultOf(c.tools.Do(ctx, request, nil, value), request)
}

// open sends one operation whose answer has content; the caller closes it.
func (c *caller) open(ctx context.Context, request tools.Request, value any) (io.ReadCloser, error) {
	request.Login = c.login
	return c.tools.Open(ctx, request, nil, value)
}

// faultOf finds vSphere's fault for what the guest answered. A guest that does not answer is one whose operations
// are unavailable.
func faultOf(err error, request tools.Request) vcenter.Fault {
	if err == nil {
		return nil
	}
	var fault *tools.Fault
	if !errors.As(err, &fault) {
		return &types.GuestOperationsUnavailable{}
	}
	file := types.FileFault{}
	if request.File != nil {
		file.File = request.File.Path
	}
	switch fault.Kind {
	case "InvalidGuestLogin":
		return &types.InvalidGuestLogin{}
	case "GuestPermissionDenied":
		return &types.GuestPermissionDenied{}
	case "GuestProcessNotFound":
		return &types.GuestProcessNotFound{Pid: request.Pids[0]}
	case "FileNotFound":
		return &types.FileNotFound{FileFault: file}
	case "FileAlreadyExists":
		return &types.FileAlreadyExists{FileFault: file}
	case "DirectoryNotEmpty":
		return &types.DirectoryNotEmpty{FileFault: file}
	case "NotADirectory":
		return &types.NotADirectory{FileFault: file}
	case "NotAFile":
		return &types.NotAFile{FileFault: file}
	case "NoDiskSpace":
		return &types.NoDiskSpace{FileFault: file}
	case "InvalidArgument":
		return &types.InvalidArgument{InvalidProperty: fault.Message}
	default:
		return &types.SystemError{Reason: fault.Message}
	}
}
