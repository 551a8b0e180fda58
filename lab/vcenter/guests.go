package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"

	"managedvm.dev/lab/vcenter/internal/guestops"
	"managedvm.dev/lab/vcenter/internal/guests"
	"managedvm.dev/lab/vcenter/internal/vcenter"
)

// openGuests reads what `python -m lab.guests build` wrote. Without a file there are no guests: nil.
func openGuests(ctx context.Context, file string) (*guestops.Guests, error) {
	if file == "" {
		return nil, nil
	}
	settings, err := guests.Load(file)
	if err != nil {
		return nil, err
	}
	return guestops.Open(ctx, settings)
}

// closeGuests leaves no container and no mount behind, whatever else went wrong.
func closeGuests(opened *guestops.Guests) {
	if err := opened.Close(context.Background()); err != nil {
		log.Printf("removing the guests: %v", err)
	}
}

// serveGuests adds the guest operations to a server and returns the path over which they move files.
func serveGuests(server *vcenter.VCenter, api net.Addr) (map[string]http.Handler, error) {
	address, ok := api.(*net.TCPAddr)
	if !ok {
		return nil, fmt.Errorf("%s is no TCP address", api)
	}
	transfers := guestops.NewTransfers(address.Port)
	guestops.Register(server, transfers)
	return map[string]http.Handler{guestops.TransferPath: transfers}, nil
}
