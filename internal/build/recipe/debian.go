package recipe

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/apron-run/apron/internal/build/catalogue"
	"github.com/apron-run/apron/internal/platform"
)

const (
	// debianStopGrace is how long mmdebstrap may take to unmount and remove its work after a cancellation.
	debianStopGrace = 15 * time.Second
	// evidenceLines is how much of a failed tool's output is kept for the explanation.
	evidenceLines = 20
)

// documentation is what no image needs.
var documentation = []string{
	"/usr/share/doc/*", "/usr/share/info/*", "/usr/share/lintian/*", "/usr/share/locale/*", "/usr/share/man/*",
	"/usr/share/bash-completion/*",
}

// writeDebian installs the packages into a new root with mmdebstrap and copies its tar.
func (c *Cache) writeDebian(ctx context.Context, archive *tar.Writer, recipe catalogue.Debian, log io.Writer) error {
	program, err := exec.LookPath("mmdebstrap")
	if err != nil {
		return platform.Explain(err, "the runtime's base image is assembled from Debian packages by mmdebstrap, which is not installed").
			Try("install it with: apt-get install mmdebstrap")
	}
	work := filepath.Join(c.dir, "tmp", "debian-"+randomName())
	if err := os.Mkdir(work, 0o755); err != nil { // readable for the user _apt, who fetches
		return err
	}
	output := &tailWriter{next: log, keep: evidenceLines}
	command := exec.CommandContext(ctx, program, c.debianArgs(recipe)...)
	command.Env = append(os.Environ(), "TMPDIR="+work)
	command.Stderr = output
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = debianStopGrace
	stdout, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return fmt.Errorf("start mmdebstrap: %w", err)
	}
	copyErr := copyDebian(archive, stdout)
	if copyErr != nil {
		_, _ = io.Copy(io.Discard, stdout) // a writer that nobody reads would not end
	}
	waitErr := command.Wait()
	removeErr := os.RemoveAll(work)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case waitErr != nil:
		return platform.Explain(waitErr, "the Debian packages of the runtime's base image could not be installed (%v)", waitErr).
			Try("check that this machine reaches the Debian archive, and deploy again").WithEvidence(output.lines()...)
	}
	return errors.Join(copyErr, removeErr)
}

func (c *Cache) debianArgs(recipe catalogue.Debian) []string {
	args := []string{
		"--mode=root", "--variant=minbase", "--format=tar", "--components=main",
		"--include=" + strings.Join(recipe.Packages, ","),
		"--dpkgopt=force-unsafe-io", // the root is thrown away when anything fails
	}
	for _, pattern := range append(documentation, recipe.Excludes...) {
		args = append(args, "--dpkgopt=path-exclude="+pattern)
	}
	if c.host().AptProxy != "" {
		args = append(args, "--aptopt=Acquire::http::Proxy \""+c.host().AptProxy+"\"")
	}
	args = append(args, recipe.Suite, "-")
	if c.host().DebianMirror == "" {
		return args
	}
	mirror := c.host().DebianMirror
	args = append(args, "deb "+mirror+" "+recipe.Suite+" main")
	if recipe.Suite == "sid" {
		return args
	}
	args = append(args, "deb "+mirror+" "+recipe.Suite+"-updates main")
	if c.host().DebianSecurity != "" {
		args = append(args, "deb "+c.host().DebianSecurity+" "+recipe.Suite+"-security main")
	}
	return args
}

// copyDebian copies the tar without what belongs to this machine: device nodes, its name and its resolver.
func copyDebian(archive *tar.Writer, stream io.Reader) error {
	reader := tar.NewReader(stream)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			_, err = io.Copy(io.Discard, stream)
			return err
		}
		if err != nil {
			return fmt.Errorf("read mmdebstrap's tar: %w", err)
		}
		name := path.Clean(header.Name)
		if name == "." || strings.HasPrefix(name, "dev/") || name == "etc/hostname" || name == "etc/resolv.conf" {
			continue
		}
		header.Name = name
		if header.Typeflag == tar.TypeDir {
			header.Name += "/"
		}
		if header.Typeflag == tar.TypeLink {
			header.Linkname = path.Clean(header.Linkname)
		}
		header.Format = tar.FormatPAX
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := io.Copy(archive, reader); err != nil {
			return err
		}
	}
}
