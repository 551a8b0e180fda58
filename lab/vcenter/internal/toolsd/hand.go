package toolsd

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"syscall"

	"managedvm.dev/lab/vcenter/internal/tools"
)

// HandArgument makes the program the hand of a user: one operation on files, done with that user's rights.
const HandArgument = "hand"

// Hand reads one request, carries it out and writes the answer. It returns the exit code of the process.
func Hand(stdin io.Reader, stdout io.Writer) int {
	content := bufio.NewReader(stdin)
	var request tools.Request
	if err := tools.ReadLine(content, &request); err != nil || request.File == nil {
		log.Printf("unusable request: %v", err)
		return 2
	}
	if request.Operation == tools.ReadFile {
		return sendFile(request.File, stdout)
	}
	value, err := handle(request.Operation, request.File, content)
	var answer tools.Answer
	if err != nil {
		answer.Fault = tools.FaultOf(err)
	} else if answer.Value, err = json.Marshal(value); err != nil {
		log.Printf("unusable value: %v", err)
		return 2
	}
	if err := tools.WriteLine(stdout, answer); err != nil {
		return 1
	}
	return 0
}

func handle(operation tools.Operation, file *tools.File, content io.Reader) (any, error) {
	switch operation {
	case tools.WriteFile:
		return true, writeFile(file, content)
	case tools.FileStatus:
		return fileStatus(file.Path)
	case tools.ListFiles:
		return listFiles(file)
	case tools.MakeDir:
		return true, makeDirectory(file)
	case tools.RemoveFile:
		return true, removeFile(file.Path)
	case tools.RemoveDir:
		return true, removeDirectory(file)
	case tools.Move:
		return true, move(file)
	case tools.MakeTemp:
		return makeTemporary(file)
	case tools.Attributes:
		return true, setAttributes(file)
	default:
		return nil, &tools.Fault{Kind: "InvalidArgument", Message: fmt.Sprintf("unknown operation %q", operation)}
	}
}

// sendFile answers with the description of a regular file and then with its content.
func sendFile(file *tools.File, stdout io.Writer) int {
	opened, err := os.Open(file.Path)
	var info fs.FileInfo
	if err == nil {
		defer opened.Close()
		info, err = opened.Stat()
	}
	if err == nil && !info.Mode().IsRegular() {
		err = &tools.Fault{Kind: "NotAFile", Message: file.Path + " is no regular file"}
	}
	if err != nil {
		_ = tools.WriteLine(stdout, tools.Answer{Fault: tools.FaultOf(err)})
		return 0
	}
	described, err := json.Marshal(fileInfo(file.Path, info))
	if err != nil {
		return 2
	}
	if err := tools.WriteLine(stdout, tools.Answer{Value: described}); err != nil {
		return 1
	}
	if _, err := io.Copy(stdout, opened); err != nil {
		return 1
	}
	return 0
}

// writeFile puts the content beside the target and renames it, so that nobody sees half a file. A content shorter
// than announced is a broken transfer and leaves the target as it was.
func writeFile(file *tools.File, content io.Reader) error {
	if _, err := os.Lstat(file.Path); err == nil && !file.Overwrite {
		return fmt.Errorf("%s: %w", file.Path, fs.ErrExist)
	}
	beside, err := os.CreateTemp(filepath.Dir(file.Path), ".vmtoolsd-*")
	if err != nil {
		return err
	}
	defer os.Remove(beside.Name()) // fails once the rename succeeded, which is as meant
	written, err := io.Copy(beside, content)
	if closed := beside.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	if written != file.Size {
		return &tools.Fault{Kind: "GuestOperationsFault", Message: fmt.Sprintf("got %d of %d bytes", written, file.Size)}
	}
	mode := uint32(0o644)
	if file.Mode == nil {
		file.Mode = &mode
	}
	named := *file
	named.Path = beside.Name()
	if err := setAttributes(&named); err != nil {
		return err
	}
	return os.Rename(beside.Name(), file.Path)
}

func makeDirectory(file *tools.File) error {
	if file.Parents {
		return os.MkdirAll(file.Path, 0o755)
	}
	return os.Mkdir(file.Path, 0o755)
}

func removeFile(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return &tools.Fault{Kind: "NotAFile", Message: path + " is a directory"}
	}
	return os.Remove(path)
}

func removeDirectory(file *tools.File) error {
	info, err := os.Lstat(file.Path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return &tools.Fault{Kind: "NotADirectory", Message: file.Path + " is no directory"}
	}
	if file.Recursive {
		return os.RemoveAll(file.Path)
	}
	return syscall.Rmdir(file.Path)
}

func move(file *tools.File) error {
	if _, err := os.Lstat(file.Target); err == nil && !file.Overwrite {
		return fmt.Errorf("%s: %w", file.Target, fs.ErrExist)
	}
	return os.Rename(file.Path, file.Target)
}

func makeTemporary(file *tools.File) (string, error) {
	if file.Directory {
		return os.MkdirTemp(file.Path, file.Prefix+"*"+file.Suffix)
	}
	created, err := os.CreateTemp(file.Path, file.Prefix+"*"+file.Suffix)
	if err != nil {
		return "", err
	}
	return created.Name(), created.Close()
}

func setAttributes(file *tools.File) error {
	if file.Owner != nil || file.Group != nil {
		owner, group := -1, -1
		if file.Owner != nil {
			owner = *file.Owner
		}
		if file.Group != nil {
			group = *file.Group
		}
		if err := os.Chown(file.Path, owner, group); err != nil {
			return err
		}
	}
	if file.Mode != nil {
		return syscall.Chmod(file.Path, *file.Mode)
	}
	return nil
}

// fileStatus describes one file; a link is followed, as reading it would be.
func fileStatus(path string) ([]tools.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	return []tools.FileInfo{fileInfo(path, info)}, nil
}

// listFiles describes the entries of a directory that match the pattern, or a file that is no directory.
func listFiles(file *tools.File) ([]tools.FileInfo, error) {
	info, err := os.Stat(file.Path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return fileStatus(file.Path)
	}
	entries, err := os.ReadDir(file.Path)
	if err != nil {
		return nil, err
	}
	pattern, err := regexp.Compile(file.Pattern) // vSphere's pattern is a regular expression, not a shell's
	if err != nil {
		return nil, &tools.Fault{Kind: "InvalidArgument", Message: err.Error()}
	}
	found := []tools.FileInfo{}
	for _, entry := range entries {
		if !pattern.MatchString(entry.Name()) {
			continue
		}
		if info, err := entry.Info(); err == nil { // else it was removed meanwhile
			described := fileInfo(entry.Name(), info)
			described.Target, _ = os.Readlink(filepath.Join(file.Path, entry.Name())) // empty unless it is a link
			found = append(found, described)
		}
	}
	return found, nil
}

func fileInfo(path string, info fs.FileInfo) tools.FileInfo {
	described := tools.FileInfo{
		Path: path, Kind: "file", Size: info.Size(), Mode: uint32(info.Mode().Perm()), Modified: info.ModTime().UTC(),
	}
	switch {
	case info.IsDir():
		described.Kind = "directory"
	case info.Mode()&fs.ModeSymlink != 0:
		described.Kind = "symlink"
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		described.Owner, described.Group = int32(stat.Uid), int32(stat.Gid)
	}
	return described
}
