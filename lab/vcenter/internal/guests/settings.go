// Package guests gives virtual machines a real inside: a container with its own init, its own disk of a fixed size
// and a memory limit. It knows nothing of vSphere.
package guests

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
)

// Settings is what the lab found out about this machine; all paths are absolute.
type Settings struct {
	Podman      string            `json:"podman"`      // the program
	Environment map[string]string `json:"environment"` // points podman at the lab's own configuration
	Network     string            `json:"network"`     // name of the lab's own network, which exists
	Subnet      netip.Prefix      `json:"subnet"`      // its addresses
	Label       string            `json:"label"`       // marks containers of this lab
	Tools       string            `json:"tools"`       // the daemon that stands in for VMware Tools
	State       string            `json:"state"`       // directory of the guests' disks
	Images      map[string]string `json:"images"`      // name to ext4 file that each new disk is a copy of
}

// Load reads the settings from a file and refuses incomplete ones.
func Load(path string) (Settings, error) {
	var settings Settings
	content, err := os.ReadFile(path)
	if err != nil {
		return settings, err
	}
	if err := json.Unmarshal(content, &settings); err != nil {
		return settings, fmt.Errorf("%s: %w", path, err)
	}
	for _, one := range []string{settings.Podman, settings.Tools, settings.State} {
		if !filepath.IsAbs(one) {
			return settings, fmt.Errorf("%s: %q is no absolute path", path, one)
		}
	}
	if settings.Network == "" || !settings.Subnet.IsValid() || settings.Label == "" || len(settings.Images) == 0 {
		return settings, fmt.Errorf("%s: network, subnet, label and images are needed", path)
	}
	return settings, nil
}

// Spec is the wish for one guest.
type Spec struct {
	Image     string `json:"image"`
	MemoryMiB int64  `json:"memoryMiB"`
	DiskMiB   int64  `json:"diskMiB"`
	Password  string `json:"password"` // of root
}

// smallestDiskMiB leaves room for the image itself and for an upgrade of it.
const smallestDiskMiB = 512

// Check returns what is wrong with the wish, or nil.
func (s Spec) Check() error {
	switch {
	case s.Image == "":
		return errors.New("guest: image is missing")
	case s.MemoryMiB < 64:
		return fmt.Errorf("guest: memoryMiB %d is below 64", s.MemoryMiB)
	case s.DiskMiB < smallestDiskMiB:
		return fmt.Errorf("guest: diskMiB %d is below %d", s.DiskMiB, smallestDiskMiB)
	case s.Password == "":
		return errors.New("guest: password is missing")
	}
	return nil
}
