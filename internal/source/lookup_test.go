package source_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/source"
	"github.com/apron-run/apron/internal/source/git"
	"github.com/apron-run/apron/internal/source/registry"
)

// answering is the environment variable that makes the test's program a process in a network of its own, whose DNS server
// answers every question with a code; silence stands for one that does not answer.
const (
	answering = "APRON_TEST_DNS"
	silence   = -1
)

func TestMain(m *testing.M) {
	if code, err := strconv.Atoi(os.Getenv(answering)); err == nil {
		if err := lookUp(code); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// A name that cannot be looked up is the cause that a deployment fails with, and soon.
func TestNamesThatCannotBeLookedUpAreExplained(t *testing.T) {
	for name, code := range map[string]int{
		"they do not exist":          int(dnsmessage.RCodeNameError),
		"the server fails":           int(dnsmessage.RCodeServerFailure),
		"the server refuses":         int(dnsmessage.RCodeRefused),
		"the server does not answer": silence,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			process := exec.CommandContext(ctx, os.Args[0])
			process.Env = append(os.Environ(), answering+"="+strconv.Itoa(code), "TMPDIR="+t.TempDir())
			process.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET}
			if output, err := process.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, output)
			}
		})
	}
}

// lookUp asks for an image and a repository whose hosts this process's DNS server is asked about.
func lookUp(code int) error {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		return err
	}
	if err := serveNames(dir, code); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, imageErr := registry.New(registry.Config{Data: dir, Endpoint: source.NewEndpoint("127.0.0.1:1")}).
		ResolveImage(ctx, "registry.example.org/app:live")
	_, codeErr := git.New(git.Config{Data: dir}).
		ResolveCommit(ctx, platform.CodeSource{RepositoryURL: "https://git.example.org/app.git", Branch: "main"})
	return errors.Join(
		wantCause(imageErr, "the registry registry.example.org does not exist or cannot be looked up from this machine"),
		wantCause(codeErr, "the host git.example.org does not exist or cannot be looked up from this machine"))
}

func wantCause(err error, want string) error {
	if explained := platform.AsExplained(err); explained == nil || !strings.Contains(explained.Cause, want) {
		return fmt.Errorf("%w; want %q", err, want)
	}
	return nil
}

// serveNames makes a server of this process the only one that it asks.
func serveNames(dir string, code int) error {
	file := filepath.Join(dir, "resolv.conf")
	if err := os.WriteFile(file, []byte("nameserver 127.0.0.1\noptions timeout:1 attempts:2\n"), 0o644); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount(file, "/etc/resolv.conf", "", unix.MS_BIND, ""); err != nil {
		return err
	}
	if output, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, output)
	}
	packets, err := net.ListenPacket("udp", "127.0.0.1:53")
	if err != nil {
		return err
	}
	go func() {
		for packet := make([]byte, 512); ; {
			n, from, err := packets.ReadFrom(packet)
			if err != nil {
				return
			}
			if code != silence {
				packet[2], packet[3] = packet[2]|0x80, 0x80|byte(code) // an answer, with nothing in it
				_, _ = packets.WriteTo(packet[:n], from)
			}
		}
	}()
	return nil
}
