package app

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestARequestForAnUpgradeIsReadOnce(t *testing.T) {
	config, own := Default(), Program{Path: "/own"}
	config.DataDir = t.TempDir()
	claim, err := TakeClaim(config)
	if err != nil {
		t.Fatal(err)
	}
	defer claim.Release()
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	want := Program{"/other", []string{"/other", "serve"}, []string{"A=b"}}
	if err := RequestUpgrade(config, Running{PID: os.Getpid()}, want); err != nil {
		t.Fatal(err)
	}
	<-hangups
	if info, err := os.Stat(requestPath(config)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the request is %v, %v", info, err)
	}
	for _, want := range []Program{want, own} {
		got, err := RequestedProgram(config, own)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("error %v, and the program (-want +got):\n%s", err, diff)
		}
	}
}

func TestAProgramThatCannotTakeOverIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "apron")
	for content, want := range map[string]string{
		"no program": "exec format error", "#!/bin/sh\necho unknown flag: --check >&2; exit 2\n": "unknown flag: --check",
		"#!/bin/sh\n[ \"$*\" = 'serve --data=/d --check' ] && [ \"$A\" = b ]\n": "",
	} {
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
		err := Program{path, []string{path, "serve", "--data=/d"}, []string{"A=b"}}.Check(t.Context())
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path)) {
			t.Errorf("%q: %v, want %q", content, err, want)
		}
	}
}

func TestAProgramKeepsTheClaimAndTheListenerOfTheOneBefore(t *testing.T) {
	config := Default()
	config.DataDir, config.APIAddr = t.TempDir(), "127.0.0.1:0"
	command := exec.CommandContext(t.Context(), "/proc/self/exe", "upgrade", config.DataDir)
	output, err := command.CombinedOutput()
	if err != nil || !strings.HasSuffix(string(output), "the next\n") {
		t.Errorf("%v: %s", err, output)
	}
}

// upgradeOnce is what the process of the test above does: it takes a claim and runs itself anew, which must find the same.
func upgradeOnce(dataDir string) error {
	config := Default()
	config.DataDir, config.APIAddr = dataDir, "127.0.0.1:0"
	_, isNext := os.LookupEnv(inheritanceVariable)
	claim, err := TakeClaim(config)
	if err != nil {
		return err
	}
	if err := claim.Listen(config); err != nil {
		return err
	}
	address := claim.listener.Addr().String()
	if isNext {
		return finishUpgrade(claim, address)
	}
	os.Setenv("TEST_ADDRESS", address)
	if err := claim.Upgrade(Program{Path: "/does/not/exist"}); err != nil {
		return err
	}
	claim.listener.Close()
	conn, err := net.Dial("tcp", address) // waits for the next program
	if err != nil {
		return err
	}
	defer conn.Close()
	return claim.Exec(Program{Args: os.Args, Env: os.Environ()}, config)
}

func finishUpgrade(claim *Claim, address string) error {
	if want := os.Getenv("TEST_ADDRESS"); address != want {
		return fmt.Errorf("the next program listens on %s, want %s", address, want)
	}
	conn, err := claim.listener.Accept()
	if err != nil {
		return err
	}
	conn.Close()
	// What was left is not for the programs that this one starts.
	open, err := exec.CommandContext(context.Background(), "/bin/sh", "-c", "env; ls -l /proc/self/fd").CombinedOutput()
	if err != nil || strings.Contains(string(open), inheritanceVariable) || strings.Contains(string(open), "apron.pid") {
		return fmt.Errorf("what a child has: %s (%w)", open, err)
	}
	if _, err := os.Stdout.WriteString("the next\n"); err != nil {
		return err
	}
	return claim.Release()
}
