package containerd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/core/mount"
	"golang.org/x/sys/unix"

	"github.com/apron-run/apron/internal/compute"
	"github.com/apron-run/apron/internal/compute/network"
	"github.com/apron-run/apron/internal/platform"
)

// files is the folder of one instance.
type files struct{ dir string }

func (b *Backend) filesOf(id platform.InstanceID) files {
	return files{filepath.Join(b.config.Paths.instances(), string(id))}
}

func (f files) resolvConf() string { return filepath.Join(f.dir, "resolv.conf") }
func (f files) hosts() string      { return filepath.Join(f.dir, "hosts") }
func (f files) hostname() string   { return filepath.Join(f.dir, "hostname") }
func (f files) disk() string       { return filepath.Join(f.dir, "disk") }
func (f files) writable() string   { return filepath.Join(f.dir, "writable") }

// hostnameOf is what the app sees as its host's name.
func hostnameOf(id platform.InstanceID) string { return string(id[:min(12, len(id))]) }

func (b *Backend) makeFiles(spec compute.InstanceSpec) (files, error) {
	f := b.filesOf(spec.ID)
	name := hostnameOf(spec.ID)
	return f, errors.Join(
		os.MkdirAll(f.writable(), 0o711),
		os.MkdirAll(filepath.Dir(spec.LogPath), 0o700),
		os.WriteFile(f.resolvConf(), []byte(network.ResolvConf()), 0o644),
		os.WriteFile(f.hosts(), []byte("127.0.0.1 localhost "+name+"\n::1 localhost ip6-localhost ip6-loopback\n"), 0o644),
		os.WriteFile(f.hostname(), []byte(name+"\n"), 0o644),
	)
}

// formatTimeout bounds mkfs, which takes milliseconds: the file is sparse.
const formatTimeout = time.Minute

// templates makes one empty file system a size; instances get sparse copies of it, which takes a millisecond or two
// where formatting takes twenty.
var templates sync.Mutex

// makeDisk makes the instance's writable storage: a file system of its own, whose end is a plain "no space left on
// device" for the app and nobody else.
func (f files) makeDisk(size int64) error {
	template := filepath.Join(filepath.Dir(f.dir), fmt.Sprintf(".disk-%d", size))
	templates.Lock()
	err := ensureTemplate(template, size)
	templates.Unlock()
	if err != nil {
		return err
	}
	if err := copySparse(f.disk(), template); err != nil {
		return err
	}
	disk := mount.Mount{Type: "ext4", Source: f.disk(), Options: []string{"loop", "noatime", "nodev", "nosuid"}}
	if err := disk.Mount(f.writable()); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	return errors.Join(os.Mkdir(filepath.Join(f.writable(), "upper"), 0o755), os.Mkdir(filepath.Join(f.writable(), "work"), 0o700))
}

func ensureTemplate(path string, size int64) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	partial := path + ".partial"
	if err := os.WriteFile(partial, nil, 0o600); err != nil {
		return err
	}
	if err := os.Truncate(partial, size); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), formatTimeout)
	defer cancel()
	format := exec.CommandContext(ctx, "mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard",
		"-N", strconv.FormatInt(size/16384, 10), partial)
	if output, err := format.CombinedOutput(); err != nil {
		return fmt.Errorf("mkfs.ext4: %w: %s", err, output)
	}
	return os.Rename(partial, path)
}

// copySparse copies only what was written of a sparse file.
func copySparse(to, from string) (err error) {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	target, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	if err := target.Truncate(info.Size()); err != nil {
		return err
	}
	buffer := make([]byte, 1<<20)
	for offset := int64(0); ; {
		begin, err := unix.Seek(int(source.Fd()), offset, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil // only a hole remains
		}
		if err != nil {
			return err
		}
		end, err := unix.Seek(int(source.Fd()), begin, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		for offset = begin; offset < end; {
			n, err := source.ReadAt(buffer[:min(int64(len(buffer)), end-offset)], offset)
			if n == 0 {
				return err
			}
			if _, err := target.WriteAt(buffer[:n], offset); err != nil {
				return err
			}
			offset += int64(n)
		}
	}
}

// overlay lays the writable storage over the image's layers, given as the mounts of a read-only view.
func (f files) overlay(view []mount.Mount) []mount.Mount {
	lower := ""
	for _, m := range view {
		if m.Type == "bind" {
			lower = m.Source // an image of one layer
		}
		for _, option := range m.Options {
			if dirs, ok := strings.CutPrefix(option, "lowerdir="); ok {
				lower = dirs
			}
		}
	}
	return []mount.Mount{{Type: "overlay", Source: "overlay", Options: []string{
		"lowerdir=" + lower, "upperdir=" + filepath.Join(f.writable(), "upper"), "workdir=" + filepath.Join(f.writable(), "work"),
	}}}
}

// remove unmounts the storage and removes the folder. The loop device goes with its mount.
func (f files) remove() error {
	if err := mount.UnmountAll(f.writable(), unix.MNT_DETACH); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("unmount the writable storage: %w", err)
	}
	return os.RemoveAll(f.dir)
}
