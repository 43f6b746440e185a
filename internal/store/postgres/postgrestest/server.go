// Package postgrestest runs a PostgreSQL server of a test's own, that of Debian's package postgresql. It listens on a Unix
// socket in a temporary folder only, and is gone with that folder when it is closed.
package postgrestest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

const (
	// owner is the user of the operating system and of the database: the server refuses to run as root.
	owner = "postgres"
	// Password is what the server asks of everyone. No log or argument list may hold it.
	Password = "a-password-of-the-test"
	// timeout bounds each step of starting and stopping.
	timeout = time.Minute
)

// Server is a running PostgreSQL.
type Server struct {
	dir, programs string
	credential    *syscall.Credential
	process       *exec.Cmd
	ended         chan struct{}
	guard         *exec.Cmd
	alive         *os.File
	databases     atomic.Int64
}

// guardScript waits for the end of its input, which comes with the end of the test's process, however it ends; then it
// ends a server that is left, and removes the folder.
const guardScript = `cat >/dev/null; read -r pid <"$1/data/postmaster.pid" && kill -QUIT "$pid"; sleep 1; rm -rf "$1"`

// Open makes a new server and starts it. Close must be called.
func Open() (*Server, error) {
	programs, err := findPrograms()
	if err != nil {
		return nil, err
	}
	credential, err := findOwner()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("/tmp", "pg") // paths of Unix sockets are limited to 107 bytes
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, programs: programs, credential: credential}
	for _, step := range []func() error{s.startGuard, s.initialize, s.Start} {
		if err := step(); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// findPrograms is the folder of the newest server; Debian keeps the servers of all versions off PATH.
func findPrograms() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errors.Join(errors.New("there is no PostgreSQL server: run scripts/install-packages test"), err)
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return versionOf(a) - versionOf(b) })), nil
}

func versionOf(program string) int {
	version, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(program)))) // 0 for what is no number
	return version
}

// findOwner is whom the server runs as; nil stands for the test's own user, when that is not root.
func findOwner() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	found, err := user.Lookup(owner)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(found.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(found.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

func (s *Server) initialize() error {
	password := filepath.Join(s.dir, "password")
	if err := os.WriteFile(password, []byte(Password), 0o600); err != nil {
		return err
	}
	if s.credential != nil {
		for _, path := range []string{s.dir, password} {
			if err := os.Chown(path, int(s.credential.Uid), int(s.credential.Gid)); err != nil {
				return err
			}
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	initdb := s.command(ctx, "initdb", "--pgdata="+s.data(), "--username="+owner, "--auth=scram-sha-256", "--pwfile="+password,
		"--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
	if output, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, output)
	}
	return nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) command(ctx context.Context, name string, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, filepath.Join(s.programs, name), arguments...)
	command.Dir = "/"
	command.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"}
	// A group of its own: Ctrl-C on a test ends the test, and the guard ends the server.
	command.SysProcAttr = &syscall.SysProcAttr{Credential: s.credential, Setpgid: true}
	return command
}

func (s *Server) startGuard() error {
	input, alive, err := os.Pipe()
	if err != nil {
		return err
	}
	defer input.Close()
	s.alive = alive
	s.guard = exec.Command("/bin/sh", "-c", guardScript, "guard", s.dir)
	s.guard.Dir, s.guard.Stdin = "/", input
	s.guard.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := s.guard.Start(); err != nil {
		s.guard = nil
		return fmt.Errorf("start the guard: %w", err)
	}
	return nil
}

// Start starts the server again, after Kill.
func (s *Server) Start() error {
	log, err := os.OpenFile(s.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	// What a test has written need not survive the machine, so the disk is not waited for.
	s.process = s.command(context.Background(), "postgres", "-D", s.data(), "-k", s.dir, "-c", "listen_addresses=",
		"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=300", "-c", "shared_buffers=32MB", "-c", "log_statement=none")
	s.process.Stdout, s.process.Stderr = log, log
	if err := s.process.Start(); err != nil {
		s.process = nil
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	process, ended := s.process, make(chan struct{})
	s.ended = ended
	go func() { defer close(ended); process.Wait() }()
	return s.awaitReady()
}

func (s *Server) logPath() string { return filepath.Join(s.dir, "server.log") }

func (s *Server) awaitReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	for {
		err := s.Execute(ctx, "postgres", "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-s.ended:
			log, _ := os.ReadFile(s.logPath()) // shown for what it is worth
			return fmt.Errorf("PostgreSQL ended before it was ready:\n%s", log)
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL was not ready within %s: %w", timeout, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// URL names a database of the server, with the password.
func (s *Server) URL(database string) string {
	return (&url.URL{
		Scheme: "postgres", User: url.UserPassword(owner, Password), Path: "/" + database,
		RawQuery: url.Values{"host": {s.dir}}.Encode(),
	}).String()
}

// Create makes a new database, a copy of template unless that is empty, and returns its name.
func (s *Server) Create(ctx context.Context, template string) (string, error) {
	name := "test" + strconv.FormatInt(s.databases.Add(1), 10)
	statement := "CREATE DATABASE " + name
	if template != "" {
		statement += " TEMPLATE " + template
	}
	return name, s.Execute(ctx, "postgres", statement)
}

// Execute runs one statement.
func (s *Server) Execute(ctx context.Context, database, statement string) error {
	db, err := sql.Open("pgx", s.URL(database))
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, statement)
	return errors.Join(err, db.Close())
}

// Kill ends the server at once, in the middle of whatever it does, as a crash does.
func (s *Server) Kill() error { return s.end(syscall.SIGQUIT) }

func (s *Server) end(signal syscall.Signal) error {
	if s.process == nil {
		return nil
	}
	if err := s.process.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end PostgreSQL: %w", err)
	}
	select {
	case <-s.ended:
		return nil
	case <-time.After(timeout):
		return errors.Join(fmt.Errorf("PostgreSQL did not end within %s", timeout), s.process.Process.Kill())
	}
}

// Close ends the server and removes what it has written.
func (s *Server) Close() error {
	err := s.end(syscall.SIGQUIT)
	if s.guard != nil {
		syscall.Kill(-s.guard.Process.Pid, syscall.SIGKILL) // the shell and its cat, a session of their own
		s.guard.Wait()
	}
	if s.alive != nil {
		err = errors.Join(err, s.alive.Close())
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}
