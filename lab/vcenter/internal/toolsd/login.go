package toolsd

import (
	"crypto/sha256"
	"crypto/subtle"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"managedvm.dev/lab/vcenter/internal/tools"
)

// account is a user of the guest whose password was right.
type account struct {
	name       string
	home       string
	credential *syscall.Credential
}

// logins checks passwords as PAM does, and remembers the right ones while the guest's password file is unchanged:
// the hash is slow on purpose, and one command is several requests.
type logins struct {
	mutex   sync.Mutex
	changed time.Time
	right   map[string][sha256.Size]byte
}

var refused = &tools.Fault{Kind: "InvalidGuestLogin", Message: "the guest refused this user name and password"}

func (l *logins) check(login tools.Login) (*account, error) {
	if login.User == "" || strings.ContainsRune(login.Password, 0) || !l.passwordIsRight(login) {
		return nil, refused
	}
	found, err := user.Lookup(login.User)
	if err != nil {
		return nil, refused
	}
	credential, err := credentialOf(found)
	if err != nil {
		return nil, err
	}
	return &account{name: found.Username, home: found.HomeDir, credential: credential}, nil
}

func (l *logins) passwordIsRight(login tools.Login) bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	shadow, err := os.Stat("/etc/shadow")
	if err != nil {
		return false
	}
	if l.right == nil || !shadow.ModTime().Equal(l.changed) {
		l.right, l.changed = map[string][sha256.Size]byte{}, shadow.ModTime()
	}
	sum := sha256.Sum256([]byte(login.Password))
	if known, ok := l.right[login.User]; ok && subtle.ConstantTimeCompare(known[:], sum[:]) == 1 {
		return true
	}
	// PAM's own helper knows every hash that the guest may use; it takes the password on standard input.
	helper := exec.Command("/usr/sbin/unix_chkpwd", login.User, "nonull")
	helper.Stdin = strings.NewReader(login.Password + "\x00")
	if helper.Run() != nil {
		return false
	}
	l.right[login.User] = sum
	return true
}

func credentialOf(who *user.User) (*syscall.Credential, error) {
	uid, err := strconv.ParseUint(who.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(who.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	names, err := who.GroupIds()
	if err != nil {
		return nil, err
	}
	groups := make([]uint32, 0, len(names))
	for _, name := range names {
		id, err := strconv.ParseUint(name, 10, 32)
		if err != nil {
			return nil, err
		}
		groups = append(groups, uint32(id))
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), Groups: groups}, nil
}
