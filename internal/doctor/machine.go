package doctor

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/apron-run/apron/internal/thread"
)

// Address is an address that apron will listen on.
type Address struct {
	// Flag is how a user changes it.
	Flag    string
	Address string
}

// Config says what apron is going to need.
type Config struct {
	DataDir, CacheDir, BinDir string
	Addresses                 []Address
	// IsRunning says that this very apron runs, so that it holds its addresses.
	IsRunning bool
}

// Machine is the machine as the checks see it. The fields after Config are the system's own; tests replace them.
type Machine struct {
	Config

	// Root is put before /proc, /sys and /dev.
	Root            string
	System          string
	UserID          int
	Now             func() time.Time
	LookPath        func(name string) (string, error)
	Listen          func(address string) error
	Usage           func(dir string) (Usage, error)
	MountOverlay    func(dir string) error
	EnterNamespaces func() error
	OpenForWriting  func(path string) error
	WriteProbe      func(dir string) error
	holderOfAddress func(m *Machine, address string) string
}

// Usage is how full a file system is.
type Usage struct {
	FreeBytes, TotalBytes uint64
	FreeFiles, TotalFiles uint64
}

// ThisMachine returns the machine that the program runs on.
func ThisMachine(config Config) *Machine {
	return &Machine{
		Config:          config,
		System:          runtime.GOOS + "/" + runtime.GOARCH,
		UserID:          os.Geteuid(),
		Now:             time.Now,
		LookPath:        exec.LookPath,
		Listen:          listen,
		Usage:           usage,
		MountOverlay:    mountOverlay,
		EnterNamespaces: enterNamespaces,
		OpenForWriting:  openForWriting,
		WriteProbe:      writeProbe,
		holderOfAddress: holderOfAddress,
	}
}

// path is a path of the system's own files.
func (m *Machine) path(path string) string { return filepath.Join(m.Root, path) }

func (m *Machine) read(path string) (string, error) {
	content, err := os.ReadFile(m.path(path))
	return string(content), err
}

func listen(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	return listener.Close()
}

func usage(dir string) (Usage, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return Usage{}, err
	}
	size := uint64(stat.Bsize)
	// As df(1) counts: without what is root's alone.
	return Usage{stat.Bavail * size, (stat.Blocks - stat.Bfree + stat.Bavail) * size, stat.Ffree, stat.Files}, nil
}

// mountOverlay mounts an overlay in a folder of its own in dir, writes through it, and takes it away again.
func mountOverlay(dir string) error {
	return thread.Spend(func() error {
		// The mount is in a namespace of the thread's own, so that it is gone when the process is killed.
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return err
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return err
		}
		return tryOverlay(dir)
	})
}

func tryOverlay(dir string) (err error) {
	base, err := os.MkdirTemp(dir, ".doctor-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(base)) }()
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(base, name), 0o700); err != nil {
			return err
		}
	}
	merged := filepath.Join(base, "merged")
	options := "lowerdir=" + filepath.Join(base, "lower") + ",upperdir=" + filepath.Join(base, "upper") +
		",workdir=" + filepath.Join(base, "work")
	if err := unix.Mount("overlay", merged, "overlay", 0, options); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Unmount(merged, unix.MNT_DETACH)) }()
	return os.WriteFile(filepath.Join(merged, "probe"), []byte("x"), 0o600)
}

// enterNamespaces runs true(1) in new namespaces of every kind that an instance gets.
func enterNamespaces() error {
	program, err := exec.LookPath("true")
	if err != nil {
		return err
	}
	command := exec.Command(program)
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
	}
	return command.Run()
}

func openForWriting(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return file.Close()
}

// writeProbe writes a file in dir and removes it.
func writeProbe(dir string) error {
	file, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return err
	}
	_, err = file.WriteString("x")
	return errors.Join(err, file.Sync(), file.Close(), os.Remove(file.Name()))
}

// nearest returns dir, or the nearest folder above it that exists.
func nearest(dir string) string {
	for {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir
		}
		above := filepath.Dir(dir)
		if above == dir {
			return dir
		}
		dir = above
	}
}
