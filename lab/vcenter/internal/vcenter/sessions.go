package vcenter

import (
	"context"
	"crypto/subtle"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// session is one login and what it owns: views, filters, collectors. Its objects die with it.
type session struct {
	info  types.UserSession
	busy  int // calls in progress; the sessions' lock guards it, as it does info's times
	ended context.Context
	end   context.CancelFunc

	mu      sync.Mutex
	objects map[ref]any
}

func (s *session) put(r ref, obj any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[r] = obj
}

func (s *session) get(r ref) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects[r]
}

// own returns the session's object at the reference, made on first use.
func (s *session) own(r ref, fresh func() any) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.objects[r] == nil {
		s.objects[r] = fresh()
	}
	return s.objects[r]
}

func (s *session) drop(r ref) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, r)
}

// newRef names a session's object as vCenter does: the session's key is part of it.
func (s *session) newRef(kind string) ref {
	return ref{Type: kind, Value: "session[" + s.info.Key + "]" + uuid.NewString()}
}

type sessions struct {
	mu      sync.Mutex
	byKey   map[string]*session
	timeout time.Duration
}

func newSessions(timeout time.Duration) *sessions {
	return &sessions{byKey: map[string]*session{}, timeout: timeout}
}

// of finds the caller's session by its cookie and counts the call as activity.
func (s *sessions) of(r *http.Request) *session {
	cookie, err := r.Cookie(soap.SessionCookieName)
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.byKey[cookie.Value]
	if found == nil {
		return nil
	}
	if s.expired(found, time.Now()) {
		return nil
	}
	found.busy++
	found.info.LastActiveTime = time.Now().UTC()
	found.info.CallCount++
	return found
}

func (s *sessions) expired(found *session, now time.Time) bool {
	return s.timeout > 0 && found.busy == 0 && now.Sub(found.info.LastActiveTime) > s.timeout
}

// done ends a call. A session with a call that waits is not idle; its time begins here.
func (s *sessions) done(found *session) {
	if found == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found.busy--
	found.info.LastActiveTime = time.Now().UTC()
}

// idle lists the sessions whose time is up.
func (s *sessions) idle(now time.Time) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	for key, one := range s.byKey {
		if s.expired(one, now) {
			keys = append(keys, key)
		}
	}
	return keys
}

func (s *sessions) open(user, locale string, r *http.Request) *session {
	address, _, _ := net.SplitHostPort(r.RemoteAddr)
	now := time.Now().UTC()
	if locale == "" {
		locale = "en"
	}
	ended, end := context.WithCancel(context.Background())
	fresh := &session{
		info: types.UserSession{
			Key: uuid.NewString(), UserName: user, FullName: user, LoginTime: now, LastActiveTime: now,
			Locale: locale, MessageLocale: locale, IpAddress: address, UserAgent: r.UserAgent(),
		},
		ended: ended, end: end, objects: map[ref]any{},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byKey[fresh.info.Key] = fresh
	return fresh
}

func (s *sessions) list() []types.UserSession {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]types.UserSession, 0, len(s.byKey))
	for _, one := range s.byKey {
		all = append(all, one.info)
	}
	return all
}

func (s *sessions) take(key string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.byKey[key]
	delete(s.byKey, key)
	return found
}

// reap ends idle sessions even when nobody calls, so that their waiting requests and views go too.
func (s *sessions) reap(stop context.Context, end func(string) bool) {
	if s.timeout <= 0 {
		return
	}
	ticker := time.NewTicker(max(s.timeout/4, 50*time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-stop.Done():
			return
		case now := <-ticker.C:
			for _, key := range s.idle(now) {
				end(key)
			}
		}
	}
}

// endSession drops a session with all that it owns. Every later call with its cookie is
// NotAuthenticated, and so is a call that waits right now. It tells whether there was one.
func (v *VCenter) endSession(key string) bool {
	gone := v.sessions.take(key)
	if gone == nil {
		return false
	}
	gone.end()
	gone.mu.Lock()
	objects := gone.objects
	gone.objects = map[ref]any{}
	gone.mu.Unlock()
	for r, obj := range objects {
		switch o := obj.(type) {
		case *collector:
			v.watchers.remove(o)
		case *eventCollector:
			v.locked(writing, func() { v.events.remove(r) })
		}
	}
	return true
}

// ExpireSessions ends all of them, so that every client has to log in again.
func (v *VCenter) ExpireSessions() {
	for _, info := range v.sessions.list() {
		v.endSession(info.Key)
	}
}

// SessionCount is the number of open sessions.
func (v *VCenter) SessionCount() int { return len(v.sessions.list()) }

func (v *VCenter) login(c *Call, req *types.Login) (any, Fault) {
	user := v.authority.user(req.UserName)
	if user == nil || subtle.ConstantTimeCompare([]byte(user.Password), []byte(req.Password)) != 1 {
		return nil, &types.InvalidLogin{}
	}
	fresh := v.sessions.open(user.Name, req.Locale, c.http)
	http.SetCookie(c.writer, &http.Cookie{
		Name: soap.SessionCookieName, Value: fresh.info.Key, Path: "/", HttpOnly: true, Secure: true,
	})
	return fresh.info, nil
}

func (v *VCenter) logout(c *Call, _ *types.Logout) (any, Fault) {
	v.endSession(c.session.info.Key)
	return nil, nil
}

func (v *VCenter) terminateSession(c *Call, req *types.TerminateSession) (any, Fault) {
	for _, key := range req.SessionId {
		if key == c.session.info.Key {
			return nil, invalidArgument("sessionId")
		}
		if !v.endSession(key) {
			return nil, &types.NotFound{}
		}
	}
	return nil, nil
}

func (v *VCenter) sessionIsActive(_ *Call, req *types.SessionIsActive) (any, Fault) {
	for _, info := range v.sessions.list() {
		if info.Key == req.SessionID {
			return info.UserName == req.UserName, nil
		}
	}
	return false, nil
}

// sessionManager is the manager as this caller sees it. The list is for those who may end sessions.
func (v *VCenter) sessionManager(caller *session) *mo.SessionManager {
	manager := &mo.SessionManager{Self: *v.content.SessionManager, DefaultLocale: "en"}
	if caller == nil {
		return manager
	}
	v.sessions.mu.Lock()
	info := caller.info
	v.sessions.mu.Unlock()
	manager.CurrentSession = &info
	if v.authority.allows(info.UserName, "Sessions.TerminateSession") {
		manager.SessionList = v.sessions.list()
	}
	return manager
}

func notAuthenticated(object ref) Fault {
	fault := &types.NotAuthenticated{}
	fault.Object, fault.PrivilegeId = &object, "System.View"
	return fault
}
