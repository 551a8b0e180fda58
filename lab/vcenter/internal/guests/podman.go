package guests

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// podman runs the container engine with the lab's configuration, never the user's.
type podman struct{ settings Settings }

// command runs a program and returns its output; an error carries what it said.
func command(ctx context.Context, environment map[string]string, stdin string, argv ...string) (string, error) {
	child := exec.CommandContext(ctx, argv[0], argv[1:]...)
	child.Env = os.Environ()
	for key, value := range environment {
		child.Env = append(child.Env, key+"="+value)
	}
	child.Stdin = strings.NewReader(stdin)
	var out, said bytes.Buffer
	child.Stdout, child.Stderr = &out, &said
	if err := child.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(argv[:min(len(argv), 3)], " "), err, strings.TrimSpace(said.String()))
	}
	return strings.TrimSpace(out.String()), nil
}

func (p podman) do(ctx context.Context, arguments ...string) (string, error) {
	return command(ctx, p.settings.Environment, "", append([]string{p.settings.Podman}, arguments...)...)
}

// container is what a guest's container is made of.
type container struct {
	name, hostName, root string
	address              netip.Addr
	memoryMiB            int64
}

// run starts a new container from a mounted disk and returns the process id of its init, as the host sees it.
func (p podman) run(ctx context.Context, c container) (int, error) {
	_, err := p.do(ctx, "run", "--detach", "--name", c.name, "--hostname", c.hostName,
		"--label", p.settings.Label, "--log-driver", "none",
		"--network", p.settings.Network, "--ip", c.address.String(), "--no-hosts",
		"--memory", fmt.Sprintf("%dm", c.memoryMiB), "--memory-swap", fmt.Sprintf("%dm", c.memoryMiB),
		// A reboot from inside ends the container; the capability lets its init say that it was a reboot.
		"--cap-add", "SYS_BOOT", "--systemd", "always",
		"--volume", p.settings.Tools+":/usr/bin/vmtoolsd:ro",
		// Without these two podman would put memory there, which no full disk can fill and no reboot keeps.
		"--volume", c.root+"/tmp:/tmp", "--volume", c.root+"/var/log/journal:/var/log/journal",
		"--rootfs", c.root, "/sbin/init")
	if err != nil {
		return 0, err
	}
	return p.pid(ctx, c.name)
}

func (p podman) pid(ctx context.Context, name string) (int, error) {
	text, err := p.do(ctx, "container", "inspect", "--format", "{{.State.Pid}}", name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}

// exitCode returns how a container's init ended; 129 is a reboot, because the kernel then sends it SIGHUP.
func (p podman) exitCode(ctx context.Context, name string) (int, error) {
	text, err := p.do(ctx, "wait", name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}

// remove kills a container at once, as pulling the plug does; none of that name is fine.
func (p podman) remove(ctx context.Context, name string) error {
	_, err := p.do(ctx, "rm", "--force", "--time", "0", "--ignore", name)
	return err
}

// leftovers returns the containers that an earlier run of this lab left behind.
func (p podman) leftovers(ctx context.Context) ([]string, error) {
	text, err := p.do(ctx, "ps", "--all", "--filter", "label="+p.settings.Label, "--format", "{{.Names}}")
	return strings.Fields(text), err
}
