package guestops

import (
	"github.com/vmware/govmomi/vim25/types"

	"managedvm.dev/lab/vcenter/internal/tools"
	"managedvm.dev/lab/vcenter/internal/vcenter"
)

func startProgram(guest vcenter.Guest, req *types.StartProgramInGuest) (any, vcenter.Fault) {
	c, fault := access(guest, req.Auth)
	if fault != nil {
		return nil, fault
	}
	spec := req.Spec.GetGuestProgramSpec()
	var pid int64
	fault = c.ask(tools.Request{
		Operation: tools.Start,
		Program: &tools.Program{
			Path: spec.ProgramPath, Arguments: spec.Arguments, Directory: spec.WorkingDirectory,
			Environment: spec.EnvVariables,
		},
		File: &tools.File{Path: spec.ProgramPath}, // named by the fault when it is not there
	}, &pid)
	return pid, fault
}

func listProcesses(guest vcenter.Guest, req *types.ListProcessesInGuest) (any, vcenter.Fault) {
	c, fault := access(guest, req.Auth)
	if fault != nil {
		return nil, fault
	}
	var found []tools.Process
	if fault := c.ask(tools.Request{Operation: tools.Processes, Pids: req.Pids}, &found); fault != nil {
		return nil, fault
	}
	list := make([]types.GuestProcessInfo, 0, len(found))
	for _, one := range found {
		list = append(list, types.GuestProcessInfo{
			Name: one.Name, Pid: one.Pid, Owner: one.Owner, CmdLine: one.CommandLine,
			StartTime: one.Started, EndTime: one.Ended, ExitCode: one.ExitCode,
		})
	}
	return list, nil
}

func terminateProcess(guest vcenter.Guest, req *types.TerminateProcessInGuest) (any, vcenter.Fault) {
	c, fault := access(guest, req.Auth)
	if fault != nil {
		return nil, fault
	}
	return nil, c.ask(tools.Request{Operation: tools.Terminate, Pids: []int64{req.Pid}}, nil)
}

func validateCredentials(guest vcenter.Guest, req *types.ValidateCredentialsInGuest) (any, vcenter.Fault) {
	c, fault := access(guest, req.Auth)
	if fault != nil {
		return nil, fault
	}
	return nil, c.ask(tools.Request{Operation: tools.CheckLogin}, nil)
}

func readEnvironment(guest vcenter.Guest, req *types.ReadEnvironmentVariableInGuest) (any, vcenter.Fault) {
	c, fault := access(guest, req.Auth)
	if fault != nil {
		return nil, fault
	}
	values := []string{}
	return values, c.ask(tools.Request{Operation: tools.Environment, Names: req.Names}, &values)
}
