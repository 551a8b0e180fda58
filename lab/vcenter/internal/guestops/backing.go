// Package guestops puts real guests behind virtual machines: their power, their snapshots and vSphere's guest
// operations. What a client asks is carried out inside the guest or refused, never on this machine.
package guestops

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"path"
	"sync"

	"managedvm.dev/lab/vcenter/internal/guests"
	"managedvm.dev/lab/vcenter/internal/tools"
	"managedvm.dev/lab/vcenter/internal/vcenter"
)

// Guests makes backings of VMs and passes on that their guests changed.
type Guests struct {
	engine  *guests.Engine
	mutex   sync.Mutex
	changes map[string]func() // by the guest's id
}

// Open removes the guests of an earlier run and is then ready to make new ones.
func Open(ctx context.Context, settings guests.Settings) (*Guests, error) {
	g := &Guests{changes: map[string]func(){}}
	engine, err := guests.Open(ctx, settings, g.changed)
	g.engine = engine
	return g, err
}

// Close stops and removes every guest.
func (g *Guests) Close(ctx context.Context) error { return g.engine.Close(ctx) }

// Backing is a vcenter.BackingFactory: it makes a guest, switched off, from the "guest" of an inventory entry.
func (g *Guests) Backing(vm string, raw json.RawMessage, changed func()) (vcenter.Backing, error) {
	var spec guests.Spec
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&spec); err != nil {
		return nil, fmt.Errorf("guest: %w", err)
	}
	sum := sha256.Sum256([]byte(vm))
	id := hex.EncodeToString(sum[:16])
	guest, err := g.engine.Create(context.Background(), id, path.Base(vm), spec)
	if err != nil {
		return nil, err
	}
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.changes[id] = changed
	return &backing{Guest: guest, guests: g}, nil
}

func (g *Guests) changed(guest *guests.Guest) {
	g.mutex.Lock()
	tell := g.changes[guest.ID()]
	g.mutex.Unlock()
	if tell != nil {
		tell()
	}
}

// backing is one guest in the words of vcenter.Backing.
type backing struct {
	*guests.Guest
	guests *Guests
}

// Facts returns what was last seen of the guest, without asking it.
func (b *backing) Facts() vcenter.GuestFacts {
	seen := b.Guest.Facts()
	is := seen.Description
	facts := vcenter.GuestFacts{
		Stopped: seen.Stopped, ToolsRunning: seen.ToolsRun, Heartbeat: string(seen.Heartbeat),
		HostName: is.HostName, System: is.System,
	}
	for _, disk := range is.Disks {
		facts.Disks = append(facts.Disks, vcenter.GuestDisk{
			Path: disk.Path, CapacityBytes: disk.Capacity, FreeBytes: disk.Free,
		})
	}
	for _, network := range is.Networks {
		card := vcenter.GuestNetwork{MAC: network.MAC}
		for _, text := range network.Addresses {
			if prefix, err := netip.ParsePrefix(text); err == nil && !prefix.Addr().IsLinkLocalUnicast() {
				card.Addresses = append(card.Addresses, prefix)
			}
		}
		facts.Networks = append(facts.Networks, card)
	}
	return facts
}

// Shutdown asks the guest's init to stop and returns when it has.
func (b *backing) Shutdown(ctx context.Context) error {
	if err := b.Ask(ctx, tools.PowerOff); err != nil {
		return err
	}
	return b.AwaitOff(ctx)
}

// Reboot asks the guest's init to restart; the guest follows by itself.
func (b *backing) Reboot(ctx context.Context) error { return b.Ask(ctx, tools.Reboot) }

func (b *backing) CreateSnapshot(ctx context.Context, id string) error   { return b.Snapshot(ctx, id) }
func (b *backing) RevertToSnapshot(ctx context.Context, id string) error { return b.Revert(ctx, id) }
func (b *backing) RemoveSnapshot(_ context.Context, id string) error     { return b.DropSnapshot(id) }

// Destroy removes the guest with its disk.
func (b *backing) Destroy(ctx context.Context) error {
	if err := b.Remove(ctx); err != nil {
		return err
	}
	b.guests.mutex.Lock()
	defer b.guests.mutex.Unlock()
	delete(b.guests.changes, b.ID())
	return nil
}
