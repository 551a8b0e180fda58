// Package toolsd stands in for VMware Tools inside a guest: it checks logins against the guest's own accounts,
// starts programs, moves files and describes the guest. Nothing that it is asked is ever run outside the guest.
package toolsd

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"

	"managedvm.dev/lab/vcenter/internal/tools"
)

type server struct {
	logins    logins
	processes table
}

// Serve answers on a Unix socket at path until it fails; only the guest's root and the simulator reach it.
func Serve(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return err
	}
	return http.Serve(listener, &server{processes: newTable()})
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// An answer may come before all of the content was read: a refused upload need not be sent to its end.
	if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
		log.Printf("no full duplex: %v", err)
	}
	content := bufio.NewReader(r.Body)
	var request tools.Request
	if err := tools.ReadLine(content, &request); err != nil {
		answer(w, nil, &tools.Fault{Kind: "InvalidArgument", Message: err.Error()})
		return
	}
	if request.Operation == tools.Describe {
		value, err := describe()
		answer(w, value, err)
		return
	}
	if request.Operation == tools.Power { // the machine's own button: no login belongs to it
		answer(w, true, power(request.Action))
		return
	}
	who, err := s.logins.check(request.Login)
	if err != nil {
		answer(w, nil, err)
		return
	}
	value, err := s.process(who, request)
	if errors.Is(err, errNotAboutProcesses) {
		s.file(w, r, who, request, content)
		return
	}
	answer(w, value, err)
}

var errNotAboutProcesses = errors.New("the operation is about files")

// process carries out an operation on processes and returns its value.
func (s *server) process(who *account, request tools.Request) (any, error) {
	switch request.Operation {
	case tools.CheckLogin:
		return true, nil
	case tools.Start:
		return s.processes.start(who, request.Program)
	case tools.Processes:
		return s.processes.list(request.Pids)
	case tools.Terminate:
		return true, terminate(who, request.Pids)
	case tools.Environment:
		return who.variables(request.Names), nil
	default:
		return nil, errNotAboutProcesses
	}
}

// file lets a child with the user's rights do the work, so that the kernel decides what that user may touch.
func (s *server) file(w http.ResponseWriter, r *http.Request, who *account, request tools.Request, content *bufio.Reader) {
	child := exec.CommandContext(r.Context(), "/proc/self/exe", HandArgument)
	child.SysProcAttr = who.attributes()
	child.Dir = "/"
	child.Stderr = os.Stderr
	child.Stdout = w
	stdin, err := child.StdinPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		answer(w, nil, err)
		return
	}
	request.Login = tools.Login{} // the child needs no password
	if err = tools.WriteLine(stdin, request); err == nil {
		_, err = content.WriteTo(stdin) // fails when the child stopped reading: its answer says why
	}
	_ = stdin.Close()
	if waited := child.Wait(); waited != nil {
		log.Printf("%s of %s: %v %v", request.Operation, who.name, err, waited)
	}
}

// power asks the guest's init for a clean stop or a reboot.
func power(action tools.Action) error {
	if action != tools.PowerOff && action != tools.Reboot {
		return &tools.Fault{Kind: "InvalidArgument", Message: fmt.Sprintf("unknown power action %q", action)}
	}
	return exec.Command("/bin/systemctl", "--no-block", string(action)).Run()
}

func answer(w http.ResponseWriter, value any, err error) {
	if err != nil {
		_ = tools.WriteLine(w, tools.Answer{Fault: tools.FaultOf(err)}) // fails only when nobody listens any more
		return
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		log.Printf("an answer cannot be encoded: %v", err)
		return
	}
	_ = tools.WriteLine(w, tools.Answer{Value: encoded})
}
