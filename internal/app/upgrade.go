package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/apron-run/apron/internal/platform"
)

// Program is a program file with what it is run with. Args begin with the program's name.
type Program struct {
	Path      string
	Args, Env []string
}

// CheckFlag is the flag by which a program is asked whether it can take over with its arguments. One that does not know it
// would not know either what is left to it.
const CheckFlag = "check"

// checkTimeout bounds how long it may take to say so.
const checkTimeout = 10 * time.Second

// Check says whether the program runs here, takes its arguments and can take over.
func (p Program) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, p.Path)
	command.Args, command.Env, command.WaitDelay = append(slices.Clone(p.Args), "--"+CheckFlag), p.Env, time.Second
	output, err := command.CombinedOutput()
	if err == nil {
		return nil
	}
	line, _, _ := bytes.Cut(bytes.TrimSpace(output), []byte("\n"))
	return platform.Explain(err, "%s cannot take over (%v: %.500s); stop and start apron to run it all the same", p.Path, err, line)
}

// RequestUpgrade asks the running apron to go on as another program. That one may refuse, and says so in its log.
func RequestUpgrade(config Config, running Running, program Program) error {
	content, err := json.Marshal(program)
	if err != nil {
		return err
	}
	if err := writeFile(requestPath(config), content); err != nil {
		return fmt.Errorf("say which program takes over: %w", err)
	}
	if err := syscall.Kill(running.PID, syscall.SIGHUP); err != nil {
		return fmt.Errorf("tell process %d of it: %w", running.PID, err)
	}
	return nil
}

// RequestedProgram returns the program of the last RequestUpgrade, once; without one, the program otherwise.
func RequestedProgram(config Config, otherwise Program) (program Program, err error) {
	content, err := os.ReadFile(requestPath(config))
	if errors.Is(err, fs.ErrNotExist) {
		return otherwise, nil
	}
	// Its environment may hold the database's password, so it does not stay.
	if err := errors.Join(err, removeFile(requestPath(config))); err != nil {
		return Program{}, err
	}
	return program, json.Unmarshal(content, &program)
}

func requestPath(config Config) string { return filepath.Join(config.DataDir, "run", "upgrade.json") }

// Upgrade ends Run in such a way that Exec can follow: the data plane goes on, and who connects to the API from now on waits.
// Only the first call counts.
func (c *Claim) Upgrade(next Program) error {
	socket, err := c.listener.File()
	if err != nil {
		return fmt.Errorf("keep the API's listener: %w", err)
	}
	c.next, c.socket = next, socket
	c.begin()
	return nil
}

// IsUpgrading says whether Upgrade was called.
func (c *Claim) IsUpgrading() bool { return c.upgrade.Err() != nil && c.socket != nil }

// Exec makes this process run the program that Upgrade was called with, which has the claim and the API's listener then. When
// that program cannot be run after all, it is this one, current, that begins again. Exec returns only if neither can be run.
func (c *Claim) Exec(current Program, config Config) error {
	// Nobody else may start a program between these lines, which would have the descriptors too.
	syscall.ForkLock.Lock()
	defer syscall.ForkLock.Unlock()
	message := inheritanceMessage{Claim: int(c.file.Fd()), API: int(c.socket.Fd()), Address: config.APIAddr}
	for _, each := range []int{message.Claim, message.API} {
		if _, err := unix.FcntlInt(uintptr(each), unix.F_SETFD, 0); err != nil {
			return fmt.Errorf("leave descriptor %d to the next program: %w", each, err)
		}
	}
	content, err := json.Marshal(message)
	if err != nil {
		return err
	}
	current.Path = "/proc/self/exe" // whatever has become of its file
	var errs []error
	for _, program := range []Program{c.next, current} {
		err := syscall.Exec(program.Path, program.Args, append(withoutInheritance(program.Env), inheritanceVariable+"="+string(content)))
		errs = append(errs, fmt.Errorf("run %s: %w", program.Path, err))
	}
	return errors.Join(errs...)
}

// inheritanceVariable has the inheritanceMessage of the program before in this process. It is read once.
const inheritanceVariable = "APRON_INHERITED"

// inheritanceMessage are the descriptors that a program has left, and the address for which the API's listener was opened.
type inheritanceMessage struct {
	Claim, API int
	Address    string
}

// inheritance is what the program before in this process has left. Its members are nil when there was none.
type inheritance struct {
	claim, api *os.File
	address    string
}

// inherit takes what the program before has left, if that was the claim of this pid file.
func inherit(pidFile string) inheritance {
	content := os.Getenv(inheritanceVariable)
	os.Unsetenv(inheritanceVariable)
	var message inheritanceMessage
	if json.Unmarshal([]byte(content), &message) != nil || message.Claim < 3 || message.API < 3 {
		return inheritance{}
	}
	for _, each := range []int{message.Claim, message.API} {
		unix.CloseOnExec(each)
	}
	left := inheritance{os.NewFile(uintptr(message.Claim), pidFile), os.NewFile(uintptr(message.API), "api"), message.Address}
	one, err := left.claim.Stat()
	other, otherErr := os.Stat(pidFile)
	if err != nil || otherErr != nil || !os.SameFile(one, other) {
		left.claim.Close()
		left.api.Close()
		return inheritance{}
	}
	return left
}

// listener returns the listener that was left, or nil when there is none or the API has another address now.
func (i inheritance) listener(address string) *net.TCPListener {
	if i.api == nil {
		return nil
	}
	defer i.api.Close()
	if i.address != address {
		return nil
	}
	listener, err := net.FileListener(i.api)
	if err != nil {
		return nil
	}
	tcp, _ := listener.(*net.TCPListener)
	return tcp
}

func withoutInheritance(environment []string) []string {
	return slices.DeleteFunc(slices.Clone(environment), func(each string) bool {
		return strings.HasPrefix(each, inheritanceVariable+"=")
	})
}
