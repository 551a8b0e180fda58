package guests

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// disk is one guest's ext4 file system in a file, so that its size is a fact and a copy of it is a real snapshot.
type disk struct{ directory string }

func (d disk) file() string  { return filepath.Join(d.directory, "disk.ext4") }
func (d disk) mount() string { return filepath.Join(d.directory, "root") }
func (d disk) snapshot(name string) string {
	return filepath.Join(d.directory, "snapshots", name+".ext4")
}

// create copies the image and grows it to the wished size.
func (d disk) create(ctx context.Context, image string, sizeMiB int64) error {
	for _, one := range []string{d.mount(), filepath.Dir(d.snapshot("any"))} {
		if err := os.MkdirAll(one, 0o700); err != nil {
			return err
		}
	}
	if err := copySparse(ctx, image, d.file()); err != nil {
		return err
	}
	info, err := os.Stat(d.file())
	if err != nil {
		return err
	}
	size := sizeMiB << 20
	if size < info.Size() {
		return fmt.Errorf("a disk of %d MiB is smaller than the image of %d MiB", sizeMiB, info.Size()>>20)
	}
	if err := os.Truncate(d.file(), size); err != nil {
		return err
	}
	_, err = command(ctx, nil, "", "resize2fs", d.file())
	return err
}

// copySparse copies a disk without writing its holes; the copy appears whole or not at all.
func copySparse(ctx context.Context, from, to string) error {
	half := to + ".part"
	if _, err := command(ctx, nil, "", "cp", "--sparse=always", "--reflink=auto", from, half); err != nil {
		return errors.Join(err, os.Remove(half))
	}
	return os.Rename(half, to)
}

func (d disk) mounted() (bool, error) {
	mounts, err := mountsBelow(d.mount())
	return len(mounts) > 0, err
}

func (d disk) attach(ctx context.Context) error {
	if mounted, err := d.mounted(); mounted || err != nil {
		return err
	}
	// Without the option the kernel would write the empty parts of each new disk one after the other.
	_, err := command(ctx, nil, "", "mount", "-o", "loop,noinit_itable", d.file(), d.mount())
	return err
}

func (d disk) detach(ctx context.Context) error {
	mounted, err := d.mounted()
	if !mounted || err != nil {
		return err
	}
	_, err = command(ctx, nil, "", "umount", d.mount())
	return err
}

// identify gives a new disk what makes a machine unique; root's password goes in on standard input.
func (d disk) identify(ctx context.Context, id, hostName, password string) error {
	files := map[string]string{"etc/machine-id": id + "\n", "etc/hostname": hostName + "\n"}
	for path, content := range files {
		if err := os.WriteFile(filepath.Join(d.mount(), path), []byte(content), 0o644); err != nil {
			return err
		}
	}
	hosts := "127.0.0.1 localhost\n127.0.1.1 " + hostName + "\n::1 localhost ip6-localhost ip6-loopback\n"
	if err := os.WriteFile(filepath.Join(d.mount(), "etc/hosts"), []byte(hosts), 0o644); err != nil {
		return err
	}
	_, err := command(ctx, nil, "root:"+password+"\n", "chroot", d.mount(), "/usr/sbin/chpasswd")
	return err
}

// takeSnapshot copies the disk as it is at one instant: a running guest is held for the time of the copy.
func (d disk) takeSnapshot(ctx context.Context, name string) (err error) {
	mounted, err := d.mounted()
	if err != nil {
		return err
	}
	if mounted {
		if _, err := command(ctx, nil, "", "fsfreeze", "--freeze", d.mount()); err != nil {
			return err
		}
		// Even when the caller gave up: a file system left frozen would hang the guest for good.
		defer func() {
			_, thawed := command(context.WithoutCancel(ctx), nil, "", "fsfreeze", "--unfreeze", d.mount())
			err = errors.Join(err, thawed)
		}()
	}
	return copySparse(ctx, d.file(), d.snapshot(name))
}

func (d disk) dropSnapshot(name string) error {
	err := os.Remove(d.snapshot(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// mountsBelow lists the mount points at a directory and below it, the deepest first.
func mountsBelow(directory string) ([]string, error) {
	content, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	found := []string{}
	for line := range strings.Lines(string(content)) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		point := strings.ReplaceAll(fields[4], `\040`, " ")
		if point == directory || strings.HasPrefix(point, directory+"/") {
			found = append(found, point)
		}
	}
	slices.Reverse(found)
	return found, nil
}
