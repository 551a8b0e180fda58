// Command vcenter is a vCenter for tests: govmomi's inventory and types, our own behaviour.
package main

import (
	"context"
	"crypto/tls"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"managedvm.dev/lab/vcenter/internal/admin"
	"managedvm.dev/lab/vcenter/internal/vcenter"
)

//go:embed privileges.json
var privileges []byte

type flags struct {
	listen, admin, cert, key, users, inventory, guests, ready string
	sessionTimeout                                            time.Duration
}

func main() {
	var f flags
	flag.StringVar(&f.listen, "listen", "127.0.0.1:0", "address of the vSphere API")
	flag.StringVar(&f.admin, "admin", "127.0.0.1:0", "address of the admin endpoint")
	flag.StringVar(&f.cert, "tls-cert", "", "certificate file (PEM)")
	flag.StringVar(&f.key, "tls-key", "", "key file (PEM)")
	flag.StringVar(&f.users, "users", "", "users file (JSON)")
	flag.StringVar(&f.inventory, "inventory", "", "inventory file (JSON)")
	flag.StringVar(&f.guests, "guests", "", "settings of container-backed guests (JSON); none without")
	flag.StringVar(&f.ready, "ready-file", "", "file that is written once the server serves")
	flag.DurationVar(&f.sessionTimeout, "session-timeout", 30*time.Minute, "how long a session may be idle")
	flag.Parse()
	if err := run(f); err != nil {
		log.Fatalf("vcenter: %v", err)
	}
}

func run(f flags) error {
	certificate, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return fmt.Errorf("--tls-cert, --tls-key: %w", err)
	}
	opts := vcenter.Options{Privileges: privileges, SessionTimeout: f.sessionTimeout}
	if err := readJSON(f.users, &opts.Users); err != nil {
		return fmt.Errorf("--users: %w", err)
	}
	if err := readJSON(f.inventory, &opts.Inventory); err != nil {
		return fmt.Errorf("--inventory: %w", err)
	}
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	begin := time.Now()
	guests, err := openGuests(stop, f.guests)
	if err != nil {
		return fmt.Errorf("--guests: %w", err)
	}
	if guests != nil {
		defer closeGuests(guests)
		opts.Backings = guests.Backing
	}
	server, err := vcenter.New(opts)
	if err != nil {
		return err
	}
	log.Printf("%d VMs in %s", len(server.Paths()), time.Since(begin).Round(time.Millisecond))
	return serve(stop, f, server, certificate)
}

// serve runs both servers until the context ends, and says in the ready file where they are.
func serve(stop context.Context, f flags, server *vcenter.VCenter, certificate tls.Certificate) error {
	socket, err := net.Listen("tcp", f.listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	adminSocket, err := net.Listen("tcp", f.admin)
	if err != nil {
		return fmt.Errorf("--admin: %w", err)
	}
	transfers, err := serveGuests(server, socket.Addr())
	if err != nil {
		return err
	}
	tracked := server.NewListener(socket)
	api := &http.Server{Handler: server.Handler(transfers), ReadHeaderTimeout: 10 * time.Second, ErrorLog: quiet()}
	door := &http.Server{Handler: admin.Handler(server, tracked.DropAll), ReadHeaderTimeout: 10 * time.Second}
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	failed := make(chan error, 2)
	go func() { failed <- api.Serve(tls.NewListener(tracked, config)) }()
	go func() { failed <- door.Serve(adminSocket) }()
	if err := writeReady(f.ready, socket.Addr(), adminSocket.Addr()); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	case <-stop.Done():
	}
	server.Close()
	wait, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	// A client that keeps its connection busy does not hold up the stop: it is closed after that.
	if err := errors.Join(api.Shutdown(wait), door.Shutdown(wait)); err != nil {
		return errors.Join(api.Close(), door.Close())
	}
	return nil
}

func readJSON(path string, into any) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	decoder := json.NewDecoder(file)
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}

// writeReady replaces the file in one step, so that a reader never sees half of it.
func writeReady(path string, api, door net.Addr) error {
	ready := map[string]any{
		"url": "https://" + api.String() + "/sdk", "admin": "http://" + door.String(), "pid": os.Getpid(),
	}
	text, err := json.Marshal(ready)
	if err != nil {
		return err
	}
	if path == "" {
		fmt.Println(string(text))
		return nil
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), ".ready-*")
	if err != nil {
		return err
	}
	if _, err = temporary.Write(append(text, '\n')); err != nil {
		return err
	}
	if err = temporary.Close(); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}

// quiet drops the server's own log: clients that break off and dropped answers are what tests do.
func quiet() *log.Logger {
	return log.New(io.Discard, "", 0)
}
