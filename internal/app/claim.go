package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/apron-run/apron/internal/platform"
)

// ErrRunning says that another process serves from the data directory.
var ErrRunning = errors.New("an apron already runs with this data directory")

// Running is what a serving apron leaves in DATA/run/apron.pid for those that look for it.
type Running struct {
	PID int `json:"pid"`
	// Endpoint is the API's URL, HTTPAddr where services answer.
	Endpoint string `json:"endpoint"`
	HTTPAddr string `json:"http"`
	// HTTPSAddr is where they answer by TLS; empty for nowhere. Domain is what their hosts end with.
	HTTPSAddr string `json:"https"`
	Domain    string `json:"domain"`
	Region    string `json:"region"`
	// TakesUpgrades says that RequestUpgrade works.
	TakesUpgrades bool `json:"upgrades"`
}

// Claim is the right to serve from a data directory: a lock on the pid file. With the API's listening socket it goes from one
// program to the next in this process, so that nobody gets in between; see Upgrade.
type Claim struct {
	file      *os.File
	listener  *net.TCPListener
	inherited inheritance
	// upgrade ends when Upgrade was called; next and socket are set by then.
	upgrade context.Context
	begin   context.CancelFunc
	next    Program
	socket  *os.File
}

// TakeClaim makes this process the one that serves from the data directory, until Release is called or it ends, however it
// ends: the kernel gives the lock up with the process. ErrRunning when another process holds it.
func TakeClaim(config Config) (*Claim, error) {
	if err := os.MkdirAll(filepath.Join(config.DataDir, "run"), 0o700); err != nil {
		return nil, explainClaim(config, fmt.Errorf("make the data directory: %w", err))
	}
	claim := &Claim{inherited: inherit(pidPath(config.DataDir))}
	claim.upgrade, claim.begin = context.WithCancel(context.Background())
	if claim.file = claim.inherited.claim; claim.file == nil {
		file, err := os.OpenFile(pidPath(config.DataDir), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, explainClaim(config, fmt.Errorf("open the pid file: %w", err))
		}
		claim.file = file
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(claim.file.Fd(), unix.F_OFD_SETLK, &lock); err != nil {
		claim.file.Close()
		if errors.Is(err, unix.EAGAIN) {
			return nil, ErrRunning
		}
		return nil, fmt.Errorf("lock the pid file: %w", err)
	}
	// A request to a program that was killed is not one to this.
	if err := removeFile(requestPath(config)); err != nil {
		return nil, errors.Join(explainClaim(config, fmt.Errorf("remove the request of an upgrade: %w", err)), claim.Release())
	}
	running := Running{
		PID: os.Getpid(), Endpoint: config.Endpoint(), HTTPAddr: config.HTTPAddr, HTTPSAddr: config.HTTPS(), Domain: config.Domain,
		Region: config.Region, TakesUpgrades: true,
	}
	if err := json.NewEncoder(whole{claim.file}).Encode(running); err != nil {
		return nil, errors.Join(explainClaim(config, fmt.Errorf("write the pid file: %w", err)), claim.Release())
	}
	return claim, nil
}

// IsInherited says whether the program before in this process has left the claim and the API's listener.
func (c *Claim) IsInherited() bool { return c.inherited.claim != nil }

// Release gives the claim up.
func (c *Claim) Release() error {
	c.begin()
	return c.file.Close()
}

// Listen takes the API's address, which an error names.
func (c *Claim) Listen(config Config) error {
	if c.listener = c.inherited.listener(config.APIAddr); c.listener != nil {
		return nil
	}
	listener, err := net.Listen("tcp", config.APIAddr)
	if err != nil {
		return platform.Explain(err, "the API cannot answer on %s: %v; choose another address with --api", config.APIAddr, err)
	}
	c.listener = listener.(*net.TCPListener)
	return nil
}

// explainClaim says what is wrong with a disk on which nothing can be written.
func explainClaim(config Config, err error) error {
	switch {
	case errors.Is(err, unix.EROFS):
		return platform.Explain(err, "The disk of %s is read-only, so that nothing can be started or stopped there.", config.DataDir).
			Try("The kernel's log (`dmesg`) says why; after a restart of the machine, which checks the disk, services come back by themselves.")
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return platform.Explain(err, "The disk of %s is full.", config.DataDir).
			Try("Remove what nobody needs; `df -h` and `df -i` say whether it is space or files.")
	}
	return err
}

// FindRunning returns the apron that serves from the data directory, or false when none does. The error is fs.ErrPermission
// or another reason why that cannot be told.
func FindRunning(dataDir string) (running Running, isRunning bool, err error) {
	file, err := os.Open(pidPath(dataDir))
	if errors.Is(err, fs.ErrNotExist) {
		return Running{}, false, nil
	}
	if err != nil {
		return Running{}, false, err
	}
	defer file.Close()
	lock := unix.Flock_t{Type: unix.F_RDLCK}
	if err := unix.FcntlFlock(file.Fd(), unix.F_OFD_GETLK, &lock); err != nil {
		return Running{}, false, fmt.Errorf("ask for the lock of %s: %w", pidPath(dataDir), err)
	}
	if lock.Type == unix.F_UNLCK {
		return Running{}, false, nil
	}
	if err := json.NewDecoder(io.LimitReader(file, 4096)).Decode(&running); err != nil {
		return Running{}, false, fmt.Errorf("read %s: %w", pidPath(dataDir), err)
	}
	return running, true, nil
}

func pidPath(dataDir string) string { return filepath.Join(dataDir, "run", "apron.pid") }

// whole makes the first write, and here only one, the file's whole content. It does not empty the file before, because
// others read it at any time: they see the old content or the new one.
type whole struct{ file *os.File }

func (w whole) Write(p []byte) (int, error) {
	if n, err := w.file.WriteAt(p, 0); err != nil {
		return n, err
	}
	return len(p), w.file.Truncate(int64(len(p)))
}
