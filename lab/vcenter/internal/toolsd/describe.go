package toolsd

import (
	"net"
	"os"
	"strings"
	"syscall"

	"managedvm.dev/lab/vcenter/internal/tools"
)

func describe() (tools.Description, error) {
	name, err := os.Hostname()
	if err != nil {
		return tools.Description{}, err
	}
	disks, err := mountedDisks()
	if err != nil {
		return tools.Description{}, err
	}
	networks, err := interfaces()
	if err != nil {
		return tools.Description{}, err
	}
	return tools.Description{HostName: name, System: systemName(), Disks: disks, Networks: networks}, nil
}

// mountedDisks lists each device once, at its shortest mount point: single files are mounted from it as well.
func mountedDisks() ([]tools.Disk, error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	shortest := map[string][]string{}
	order := []string{}
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) < 3 || !strings.HasPrefix(fields[0], "/dev/") {
			continue
		}
		if known, ok := shortest[fields[0]]; !ok {
			order = append(order, fields[0])
		} else if len(known[1]) <= len(fields[1]) {
			continue
		}
		shortest[fields[0]] = fields
	}
	disks := []tools.Disk{}
	for _, device := range order {
		mount := shortest[device]
		info, err := os.Stat(mount[1])
		if err != nil || !info.IsDir() {
			continue // a file that the container engine lays over the guest's own is no disk of it
		}
		var size syscall.Statfs_t
		if err := syscall.Statfs(mount[1], &size); err != nil {
			continue
		}
		block := size.Bsize
		disks = append(disks, tools.Disk{
			Path: mount[1], Kind: mount[2], Capacity: int64(size.Blocks) * block, Free: int64(size.Bavail) * block,
		})
	}
	return disks, nil
}

func interfaces() ([]tools.Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	found := []tools.Interface{}
	for _, one := range all {
		if one.Flags&net.FlagLoopback != 0 || one.Flags&net.FlagUp == 0 {
			continue
		}
		addresses, err := one.Addrs()
		if err != nil {
			return nil, err
		}
		described := tools.Interface{Name: one.Name, MAC: one.HardwareAddr.String(), Addresses: []string{}}
		for _, address := range addresses {
			described.Addresses = append(described.Addresses, address.String())
		}
		found = append(found, described)
	}
	return found, nil
}

// systemName is the name that the distribution gives itself, or "Linux".
func systemName() string {
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "Linux"
	}
	for line := range strings.Lines(string(release)) {
		if name, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
			return strings.Trim(strings.TrimSpace(name), `"`)
		}
	}
	return "Linux"
}
