package recipe

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/apron-run/apron/internal/build/catalogue"
	"github.com/apron-run/apron/internal/platform"
)

const (
	// debianStopGrace is how long mmdebstrap may take to unmount and remove its work after a cancellation.
	debianStopGrace = 15 * time.Second
	// evidenceLines is how much of a failed tool's output is kept for the explanation.
	evidenceLines = 20
	// probeTimeout bounds the question whether a mirror has a suite.
	probeTimeout = 15 * time.Second
)

// documentation is what no image needs.
var documentation = []string{
	"/usr/share/doc/*", "/usr/share/info/*", "/usr/share/lintian/*", "/usr/share/locale/*", "/usr/share/man/*",
	"/usr/share/bash-completion/*",
}

// mergedUsr is mmdebstrap's own hook that makes /bin a link to /usr/bin from the start. Bookworm would install a package
// instead that does it afterwards, which brings all of Perl.
const mergedUsr = "/usr/share/mmdebstrap/hooks/merged-usr"

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
	lock, err := lockFolder(work)
	if err != nil {
		return err
	}
	defer lock.Close()
	output := &tailWriter{next: log, keep: evidenceLines}
	command := workCommand(ctx, program, c.debianArgs(recipe))
	// Python's order of sets goes into what it compiles.
	command.Env = append(os.Environ(), "TMPDIR="+work, "PYTHONHASHSEED=0")
	command.ExtraFiles = []*os.File{lock}
	command.Stderr = output
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = debianStopGrace
	stdout, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := command.Start(); err != nil {
		return fmt.Errorf("start mmdebstrap: %w", err)
	}
	copyErr := copyDebian(archive, stdout, excludes(recipe), began)
	if copyErr != nil {
		_, _ = io.Copy(io.Discard, stdout) // a writer that nobody reads would not end
	}
	waitErr := command.Wait()
	removeErr := os.RemoveAll(work)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case waitErr != nil && c.isGone(ctx, recipe.Suite):
		return platform.Explain(waitErr, "the Debian mirror %s no longer has the suite %s, of which the runtime's base image is made",
			c.host().DebianMirror, recipe.Suite).
			Try("use another runtime, or let apt on this machine use a mirror that still has it, as Debian's archive").
			WithEvidence(output.lines()...)
	case waitErr != nil:
		return platform.Explain(waitErr, "the Debian packages of the runtime's base image could not be installed (%v)", waitErr).
			Try("check that this machine reaches the Debian archive, and deploy again").WithEvidence(output.lines()...)
	}
	return errors.Join(copyErr, removeErr)
}

// isGone says whether the machine's mirror, where it names one, answers and does not have the suite.
func (c *Cache) isGone(ctx context.Context, suite string) bool {
	mirror := c.host().DebianMirror
	if mirror == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var refused *refusedError
	err := c.download(ctx, strings.TrimSuffix(mirror, "/")+"/dists/"+suite+"/InRelease", io.Discard)
	return errors.As(err, &refused) && refused.code == http.StatusNotFound
}

// lockFolder tells Collect that a folder is in use: by those who have the file open, which outlive apron when it is killed.
func lockFolder(dir string) (*os.File, error) {
	folder, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(folder.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock a work folder: %w", err), folder.Close())
	}
	return folder, nil
}

func (c *Cache) debianArgs(recipe catalogue.Debian) []string {
	args := []string{
		"--mode=root", "--variant=minbase", "--format=tar", "--components=main",
		"--dpkgopt=force-unsafe-io", // the root is thrown away when anything fails
		"--extract-hook=" + excludeHook(recipe),
	}
	packages := recipe.Packages
	if recipe.Suite == "bookworm" {
		args = append(args, "--hook-dir="+mergedUsr)
		packages = append([]string{"usr-is-merged"}, packages...)
	}
	args = append(args, "--include="+strings.Join(packages, ","))
	if c.host().AptProxy != "" {
		args = append(args, "--aptopt=Acquire::http::Proxy \""+c.host().AptProxy+"\"")
	}
	if c.host().TakesOldLists {
		args = append(args, "--aptopt=Acquire::Check-Valid-Until false")
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

// excludeHook tells dpkg what to leave out, now and when a build installs more. mmdebstrap's own way to say it would send
// each package through a filter of its own first, which takes longer than all the rest of the extraction.
func excludeHook(recipe catalogue.Debian) string {
	var lines strings.Builder
	for _, pattern := range excludes(recipe) {
		lines.WriteString("path-exclude=" + pattern + `\n`)
	}
	return "printf '" + lines.String() + "' >\"$1\"/etc/dpkg/dpkg.cfg.d/apron" // patterns hold nothing that a shell could read
}

func excludes(recipe catalogue.Debian) []string { return slices.Concat(documentation, recipe.Excludes) }

// isExcluded says whether a pattern of catalogue.Debian.Excludes covers the path.
func isExcluded(name string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		if folder, ok := strings.CutSuffix(pattern, "*"); ok {
			return strings.HasPrefix("/"+name, folder)
		}
		return "/"+name == pattern
	})
}

// copyDebian copies the tar without what belongs to this machine (device nodes, its name and its resolver) and the files that
// are excluded. Their folders stay, because packages that a build installs expect some of them. The same packages give the same copy.
func copyDebian(archive *tar.Writer, stream io.Reader, excluded []string, began time.Time) error {
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
		if name == "." || strings.HasPrefix(name, "dev/") || name == "etc/hostname" || name == "etc/resolv.conf" ||
			header.Typeflag != tar.TypeDir && isExcluded(name, excluded) {
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
		content, err := normalise(header, reader, began)
		if err != nil {
			return err
		}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := io.Copy(archive, content); err != nil {
			return err
		}
	}
}
