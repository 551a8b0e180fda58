package guestops

import "managedvm.dev/lab/vcenter/internal/vcenter"

// Register adds the guest operations to a vCenter. Without it they do not exist there.
func Register(v *vcenter.VCenter, transfers *Transfers) {
	vcenter.HandleGuest(v, "ValidateCredentialsInGuest", validateCredentials)
	vcenter.HandleGuest(v, "StartProgramInGuest", startProgram)
	vcenter.HandleGuest(v, "ListProcessesInGuest", listProcesses)
	vcenter.HandleGuest(v, "TerminateProcessInGuest", terminateProcess)
	vcenter.HandleGuest(v, "ReadEnvironmentVariableInGuest", readEnvironment)

	vcenter.HandleGuest(v, "ListFilesInGuest", listFiles)
	vcenter.HandleGuest(v, "MakeDirectoryInGuest", makeDirectory)
	vcenter.HandleGuest(v, "DeleteFileInGuest", deleteFile)
	vcenter.HandleGuest(v, "DeleteDirectoryInGuest", deleteDirectory)
	vcenter.HandleGuest(v, "MoveFileInGuest", moveFile)
	vcenter.HandleGuest(v, "CreateTemporaryFileInGuest", temporaryFile)
	vcenter.HandleGuest(v, "CreateTemporaryDirectoryInGuest", temporaryDirectory)
	vcenter.HandleGuest(v, "ChangeFileAttributesInGuest", changeAttributes)
	vcenter.HandleGuest(v, "InitiateFileTransferFromGuest", transfers.fromGuest)
	vcenter.HandleGuest(v, "InitiateFileTransferToGuest", transfers.toGuest)
}
