package guestops

import (
	"github.com/vmware/govmomi/vim25/types"

	"managedvm.dev/lab/vcenter/internal/tools"
	"managedvm.dev/lab/vcenter/internal/vcenter"
)

// mostFiles is how many entries one answer holds when the client names no number.
const mostFiles = 50

// onFile serves an operation on files that has no result.
func onFile(guest vcenter.Guest, auth types.BaseGuestAuthentication, do tools.Operation, file tools.File) (any, vcenter.Fault) {
	c, fault := access(guest, auth)
	if fault != nil {
		return nil, fault
	}
	return nil, c.ask(tools.Request{Operation: do, File: &file}, nil)
}

func makeDirectory(guest vcenter.Guest, req *types.MakeDirectoryInGuest) (any, vcenter.Fault) {
	file := tools.File{Path: req.DirectoryPath, Parents: req.CreateParentDirectories}
	return onFile(guest, req.Auth, tools.MakeDir, file)
}

func deleteFile(guest vcenter.Guest, req *types.DeleteFileInGuest) (any, vcenter.Fault) {
	return onFile(guest, req.Auth, tools.RemoveFile, tools.File{Path: req.FilePath})
}

func deleteDirectory(guest vcenter.Guest, req *types.DeleteDirectoryInGuest) (any, vcenter.Fault) {
	file := tools.File{Path: req.DirectoryPath, Recursive: req.Recursive}
	return onFile(guest, req.Auth, tools.RemoveDir, file)
}

func moveFile(guest vcenter.Guest, req *types.MoveFileInGuest) (any, vcenter.Fault) {
	file := tools.File{Path: req.SrcFilePath, Target: req.DstFilePath, Overwrite: req.Overwrite}
	return onFile(guest, req.Auth, tools.Move, file)
}

func changeAttributes(guest vcenter.Guest, req *types.ChangeFileAttributesInGuest) (any, vcenter.Fault) {
	file := tools.File{Path: req.GuestFilePath}
	if fault := apply(req.FileAttributes, &file); fault != nil {
		return nil, fault
	}
	return onFile(guest, req.Auth, tools.Attributes, file)
}

// apply reads POSIX attributes; those of Windows mean nothing to a Linux guest. Permissions of 0 are "not given".
func apply(attributes types.BaseGuestFileAttributes, file *tools.File) vcenter.Fault {
	switch given := attributes.(type) {
	case nil:
	case *types.GuestFileAttributes:
	case *types.GuestPosixFileAttributes:
		if given.Permissions != 0 {
			mode := uint32(given.Permissions)
			file.Mode = &mode
		}
		if given.OwnerId != nil {
			owner := int(*given.OwnerId)
			file.Owner = &owner
		}
		if given.GroupId != nil {
			group := int(*given.GroupId)
			file.Group = &group
		}
	default:
		return &types.OperationNotSupportedByGuest{}
	}
	return nil
}

func temporaryFile(guest vcenter.Guest, req *types.CreateTemporaryFileInGuest) (any, vcenter.Fault) {
	return temporary(guest, req.Auth, tools.File{Path: req.DirectoryPath, Prefix: req.Prefix, Suffix: req.Suffix})
}

func temporaryDirectory(guest vcenter.Guest, req *types.CreateTemporaryDirectoryInGuest) (any, vcenter.Fault) {
	file := tools.File{Path: req.DirectoryPath, Prefix: req.Prefix, Suffix: req.Suffix, Directory: true}
	return temporary(guest, req.Auth, file)
}

func temporary(guest vcenter.Guest, auth types.BaseGuestAuthentication, file tools.File) (any, vcenter.Fault) {
	c, fault := access(guest, auth)
	if fault != nil {
		return nil, fault
	}
	var path string
	fault = c.ask(tools.Request{Operation: tools.MakeTemp, File: &file}, &path)
	return path, fault
}

func listFiles(guest vcenter.Guest, req *types.ListFilesInGuest) (any, vcenter.Fault) {
	c, fault := access(guest, req.Auth)
	if fault != nil {
		return nil, fault
	}
	var found []tools.FileInfo
	file := &tools.File{Path: req.FilePath, Pattern: req.MatchPattern}
	if fault := c.ask(tools.Request{Operation: tools.ListFiles, File: file}, &found); fault != nil {
		return nil, fault
	}
	most := int(req.MaxResults)
	if most <= 0 {
		most = mostFiles
	}
	from := min(max(0, int(req.Index)), len(found))
	to := min(from+most, len(found))
	list := types.GuestListFileInfo{Remaining: int32(len(found) - to)}
	for _, one := range found[from:to] {
		list.Files = append(list.Files, types.GuestFileInfo{
			Path: one.Path, Type: one.Kind, Size: one.Size, Attributes: attributesOf(one),
		})
	}
	return list, nil
}

func attributesOf(file tools.FileInfo) *types.GuestPosixFileAttributes {
	attributes := &types.GuestPosixFileAttributes{
		OwnerId: &file.Owner, GroupId: &file.Group, Permissions: int64(file.Mode),
	}
	attributes.ModificationTime = &file.Modified
	attributes.SymlinkTarget = file.Target
	return attributes
}
