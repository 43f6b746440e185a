package git_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/apron-run/apron/internal/source/git"
	"github.com/apron-run/apron/internal/source/gittest"
)

func quietLog() *log.Logger { return log.New(io.Discard, "", 0) }

// sshServer is an SSH server on a loopback port that knows one command, git-upload-pack, and one user's key.
type sshServer struct {
	t    *testing.T
	port string
	// authorized is the one key that may log in, as ssh.PublicKey.Marshal has it; nil is none.
	authorized atomic.Pointer[[]byte]
	// onCommand, when set, is called before each command.
	onCommand atomic.Pointer[func()]
}

func newSSHServer(t *testing.T) *sshServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	s := &sshServer{t: t, port: port}
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if want := s.authorized.Load(); want == nil || !bytes.Equal(*want, key.Marshal()) {
			return nil, errors.New("not authorized")
		}
		return &ssh.Permissions{}, nil
	}}
	host, _ := newKey(t)
	config.AddHostKey(host)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { s.serve(conn, config) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		serving.Wait()
	})
	return s
}

// authorize makes a key, writes its private half to path and lets it log in.
func (s *sshServer) authorize(path string) {
	s.t.Helper()
	signer, private := newKey(s.t)
	public := signer.PublicKey().Marshal()
	s.authorized.Store(&public)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, private, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// newKey returns a key pair, also in OpenSSH's file format.
func newKey(t *testing.T) (ssh.Signer, []byte) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	return signer, pem.EncodeToMemory(block)
}

// serve serves one client until it leaves.
func (s *sshServer) serve(conn net.Conn, config *ssh.ServerConfig) {
	defer conn.Close()
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for each := range channels {
		channel, requests, err := each.Accept()
		if err != nil {
			return
		}
		for request := range requests {
			if request.Type != "exec" {
				request.Reply(request.Type == "env", nil)
				continue
			}
			var command struct{ Line string }
			ssh.Unmarshal(request.Payload, &command)
			request.Reply(true, nil)
			if look := s.onCommand.Load(); look != nil {
				(*look)()
			}
			code := uploadPack(channel, command.Line)
			channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{code}))
			channel.Close()
		}
	}
}

// uploadPack runs the command of a fetch, git-upload-pack 'DIR', and returns its exit code.
func uploadPack(channel ssh.Channel, line string) uint32 {
	dir, ok := strings.CutPrefix(line, "git-upload-pack ")
	if !ok {
		return 127
	}
	command := exec.Command("git", "upload-pack", strings.Trim(dir, "'"))
	command.Stdout, command.Stderr = channel, channel.Stderr()
	input, err := command.StdinPipe()
	if err != nil || command.Start() != nil {
		return 126
	}
	go func() { // ends with the channel, which may be after the command
		defer input.Close()
		io.Copy(input, channel)
	}()
	if err := command.Wait(); err != nil {
		return 128
	}
	return 0
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

	server.authorize(filepath.Join(data, "ssh", "id_ed25519"))
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
	server.authorize(filepath.Join(data, "ssh", "id_ed25519"))
	other, _ := newKey(t)
	known := fmt.Sprintf("[127.0.0.1]:%s %s", server.port, ssh.MarshalAuthorizedKey(other.PublicKey()))
	if err := os.WriteFile(filepath.Join(data, "ssh", "known_hosts"), []byte(known), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = repositories.ResolveCommit(deadline(t), code(fmt.Sprintf("ssh://%s@127.0.0.1:%s%s", me.Username, server.port, work.Dir)))
	wantCause(t, err, "host key of 127.0.0.1 is not the one that is known", filepath.Join(data, "ssh", "known_hosts"))
}
