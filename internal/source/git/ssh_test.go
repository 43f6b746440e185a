package git_test

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/source/git"
	"github.com/apron-run/apron/internal/source/gittest"
)

func quietLog() *log.Logger { return log.New(io.Discard, "", 0) }

// sshServer is Debian's sshd on a loopback port with keys of its own.
type sshServer struct {
	t    *testing.T
	dir  string
	port string
}

func newSSHServer(t *testing.T) *sshServer {
	t.Helper()
	if _, err := exec.LookPath("/usr/sbin/sshd"); err != nil {
		t.Fatalf("install openssh-server: %v", err)
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // sshd's privilege separation insists on it
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	listener.Close()
	s := &sshServer{t: t, dir: t.TempDir(), port: port}
	s.makeKey("host_key")
	s.start()
	return s
}

func (s *sshServer) makeKey(name string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	os.Remove(path)
	if output, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path).CombinedOutput(); err != nil {
		s.t.Fatalf("ssh-keygen: %v\n%s", err, output)
	}
}

// start starts sshd, which ends with the test, and waits until it listens.
func (s *sshServer) start() (stop func()) {
	s.t.Helper()
	options := []string{
		"-D", "-e", "-f", "/dev/null", "-p", s.port, "-h", filepath.Join(s.dir, "host_key"),
		"-o", "ListenAddress=127.0.0.1", "-o", "PidFile=none", "-o", "UsePAM=no", "-o", "StrictModes=no",
		"-o", "PasswordAuthentication=no", "-o", "KbdInteractiveAuthentication=no", "-o", "PermitRootLogin=yes",
		"-o", "AuthorizedKeysFile=" + filepath.Join(s.dir, "authorized_keys"),
	}
	cmd := exec.Command("/usr/sbin/sshd", options...)
	output, err := cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	listening, ended := make(chan bool, 1), make(chan struct{})
	go func() {
		defer close(ended)
		scanner := bufio.NewScanner(output)
		for scanner.Scan() {
			if strings.Contains(scanner.Text(), "Server listening") {
				listening <- true
			}
		}
		close(listening)
	}()
	stop = func() {
		_ = cmd.Process.Kill()
		<-ended
		_ = cmd.Wait()
	}
	s.t.Cleanup(stop)
	if !<-listening {
		s.t.Fatal("sshd ended")
	}
	return stop
}

func TestARepositoryIsFetchedBySSHWithTheKeyOfTheDataDirectory(t *testing.T) {
	server := newSSHServer(t)
	work := gittest.New(t)
	work.Write("file", "content")
	work.Commit("Begin")
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	repositories, data := newRepositories(t, git.Limits{})
	address := fmt.Sprintf("ssh://%s@127.0.0.1:%s%s", me.Username, server.port, work.Dir)

	_, err = repositories.ResolveCommit(deadline(t), code(address))
	wantCause(t, err, "127.0.0.1 refused apron's SSH key", filepath.Join(data, "ssh", "id_ed25519"), "ssh-keygen")

	server.makeKey("client_key")
	copyFile(t, filepath.Join(server.dir, "client_key.pub"), filepath.Join(server.dir, "authorized_keys"))
	copyFile(t, filepath.Join(server.dir, "client_key"), filepath.Join(data, "ssh", "id_ed25519"))
	dir, _ := fetchMain(t, repositories, address)
	wantFile(t, filepath.Join(dir, "file"), "content")

	// The short form, its port by the administrator's ssh settings.
	settings := fmt.Sprintf("Host 127.0.0.1\n\tPort %s\n", server.port)
	if err := os.WriteFile(filepath.Join(data, "ssh", "config"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	dir, _ = fetchMain(t, repositories, me.Username+"@127.0.0.1:"+work.Dir)
	wantFile(t, filepath.Join(dir, "file"), "content")

	_, err = repositories.ResolveCommit(deadline(t), code(address+"/missing"))
	wantCause(t, err, "there is no Git repository at")
}

func TestAChangedHostKeyIsRefused(t *testing.T) {
	server := newSSHServer(t)
	work := gittest.New(t)
	work.Commit("Begin")
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	repositories, data := newRepositories(t, git.Limits{})
	server.makeKey("client_key")
	server.makeKey("other_host_key")
	copyFile(t, filepath.Join(server.dir, "client_key.pub"), filepath.Join(server.dir, "authorized_keys"))
	copyFile(t, filepath.Join(server.dir, "client_key"), filepath.Join(data, "ssh", "id_ed25519"))
	public, err := os.ReadFile(filepath.Join(server.dir, "other_host_key.pub"))
	if err != nil {
		t.Fatal(err)
	}
	known := fmt.Sprintf("[127.0.0.1]:%s %s", server.port, public)
	if err := os.WriteFile(filepath.Join(data, "ssh", "known_hosts"), []byte(known), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = repositories.ResolveCommit(deadline(t), code(fmt.Sprintf("ssh://%s@127.0.0.1:%s%s", me.Username, server.port, work.Dir)))
	wantCause(t, err, "host key of 127.0.0.1 is not the one that is known", filepath.Join(data, "ssh", "known_hosts"))
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
