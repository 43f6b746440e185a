package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrRunning says that another process serves from the data directory.
var ErrRunning = errors.New("an apron already runs with this data directory")

// Running is what a serving apron leaves in DATA/run/apron.pid for those that look for it.
type Running struct {
	PID int `json:"pid"`
	// Endpoint is the API's URL, HTTPAddr where services answer.
	Endpoint string `json:"endpoint"`
	HTTPAddr string `json:"http"`
	Region   string `json:"region"`
}

// Claim makes this process the one that serves from the data directory, until release is called or it ends, however it
// ends: the claim is a lock on the pid file, which the kernel gives up with the process. ErrRunning when another process
// holds it.
func Claim(config Config) (release func() error, err error) {
	if err := os.MkdirAll(filepath.Join(config.DataDir, "run"), 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	file, err := os.OpenFile(pidPath(config.DataDir), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the pid file: %w", err)
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(file.Fd(), unix.F_OFD_SETLK, &lock); err != nil {
		file.Close()
		if errors.Is(err, unix.EAGAIN) {
			return nil, ErrRunning
		}
		return nil, fmt.Errorf("lock the pid file: %w", err)
	}
	err = json.NewEncoder(truncated{file}).Encode(Running{os.Getpid(), config.Endpoint(), config.HTTPAddr, config.Region})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("write the pid file: %w", err), file.Close())
	}
	return file.Close, nil
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

// truncated empties the file before the first, and here only, write.
type truncated struct{ file *os.File }

func (t truncated) Write(p []byte) (int, error) {
	if err := t.file.Truncate(0); err != nil {
		return 0, err
	}
	return t.file.WriteAt(p, 0)
}
