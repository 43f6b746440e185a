package gitserver_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/source/gitserver"
	"github.com/apron-run/apron/internal/source/gittest"
)

// telling makes OnPush return tell.
func telling(tell func(ctx context.Context, push gitserver.Push, to io.Writer)) func(*gitserver.Config) {
	return func(config *gitserver.Config) {
		config.OnPush = func(_ context.Context, push gitserver.Push) func(context.Context, io.Writer) {
			return func(ctx context.Context, to io.Writer) { tell(ctx, push, to) }
		}
	}
}

// lines collects what a process prints, and can be waited on.
type lines struct{ arrived chan string }

func (l lines) Write(p []byte) (int, error) {
	l.arrived <- string(p)
	return len(p), nil
}

// await returns what was printed until it holds text.
func (l lines) await(t *testing.T, text string) (printed string) {
	t.Helper()
	for deadline := time.After(30 * time.Second); !strings.Contains(printed, text); {
		select {
		case more := <-l.arrived:
			printed += more
		case <-deadline:
			t.Fatalf("%q was not printed:\n%s", text, printed)
		}
	}
	return printed
}

// begin starts `git push` of main and returns its process and what it prints.
func begin(t *testing.T, repository *gittest.Repository, url string) (*exec.Cmd, lines) {
	t.Helper()
	printed := lines{make(chan string, 1000)}
	cmd := exec.Command("git", "push", url, "main")
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = repository.Dir, gittest.Environment(), printed, printed
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // git pushes by a process of its own
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, printed
}

func TestWhatBecomesOfAPushIsShownWhileItHappens(t *testing.T) {
	goOn := make(chan struct{})
	base, _, _ := serve(t, telling(func(_ context.Context, push gitserver.Push, to io.Writer) {
		fmt.Fprintf(to, "building %s of %s\n", push.Branch, push.Repository)
		<-goOn
		fmt.Fprintf(to, "%s\nlive\n", strings.Repeat("ä", 2000))
	}))
	repository := gittest.New(t)
	repository.Commit("one")
	cmd, printed := begin(t, repository, base+"app.git")
	if early := printed.await(t, "remote: building main of app"); strings.Contains(early, "main -> main") {
		t.Errorf("git has ended already:\n%s", early)
	}
	// The push is over for everybody else: another one need not wait.
	other := gittest.New(t)
	other.Commit("two")
	goneOn := make(chan struct{})
	go func() {
		defer close(goneOn)
		if output, err := other.Try("push", base+"app.git", "main:other"); err != nil {
			t.Errorf("a push while another one is told of: %v\n%s", err, output)
		}
	}()
	close(goOn)
	late := printed.await(t, "main -> main")
	if !strings.Contains(late, "remote: "+strings.Repeat("ä", 2000)) || !strings.Contains(late, "remote: live") {
		t.Errorf("printed:\n%s", late)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	<-goneOn
}

func TestWhoeverInterruptsAPushIsToldNoMoreAndHasPushed(t *testing.T) {
	left := make(chan error, 1)
	base, _, _ := serve(t, telling(func(ctx context.Context, _ gitserver.Push, to io.Writer) {
		fmt.Fprintln(to, "building")
		<-ctx.Done()
		left <- context.Cause(ctx)
	}))
	repository := gittest.New(t)
	commit := repository.Commit("one")
	cmd, printed := begin(t, repository, base+"app.git")
	printed.await(t, "building")
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	select {
	case <-left:
	case <-time.After(30 * time.Second):
		t.Fatal("the server goes on telling")
	}
	if remote := repository.Git("ls-remote", base+"app.git", "main"); !strings.HasPrefix(remote, commit) {
		t.Errorf("the branch is at %q", remote)
	}
}

func TestAPushThatIsLongInSilenceShowsThatItLives(t *testing.T) {
	const keepAlive = 50 * time.Millisecond
	base, _, _ := serve(t, func(config *gitserver.Config) {
		config.KeepAlive = keepAlive
		telling(func(_ context.Context, _ gitserver.Push, to io.Writer) {
			time.Sleep(10 * keepAlive)
			fmt.Fprintln(to, "live")
		})(config)
	})
	repository := gittest.New(t)
	repository.Commit("one")
	// What git's helper gets from the server is traced packet by packet.
	cmd := exec.Command("git", "push", base+"app.git", "main")
	cmd.Dir, cmd.Env = repository.Dir, append(gittest.Environment(), "GIT_TRACE_CURL=1")
	output, err := cmd.CombinedOutput()
	if alive := bytes.Count(output, []byte("0005.")); err != nil || alive < 2 || !bytes.Contains(output, []byte("remote: live")) {
		t.Errorf("%d signs of life (%v):\n%s", alive, err, output)
	}
}

// A client that asks for no band gets nothing but the report, and is not kept waiting.
func TestAClientWithoutBandsIsToldNothing(t *testing.T) {
	base, _, _ := serve(t, telling(func(context.Context, gitserver.Push, io.Writer) { t.Error("it is told") }))
	repository := gittest.New(t)
	commit := repository.Commit("one")
	repository.Git("push", "--quiet", base+"app.git", "main:refs/tags/one") // no branch: nothing to tell
	line := fmt.Sprintf("%s %s refs/heads/main\x00 report-status", strings.Repeat("0", 40), commit)
	request, err := http.NewRequest(http.MethodPost, base+"app.git/git-receive-pack", strings.NewReader(fmt.Sprintf("%04x%s0000", len(line)+4, line)+emptyPack))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-git-receive-pack-request")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if want := "000eunpack ok\n0017ok refs/heads/main\n0000"; err != nil || string(body) != want {
		t.Errorf("answered %q (%v), want %q", body, err, want)
	}
}

// emptyPack holds no object.
const emptyPack = "PACK\x00\x00\x00\x02\x00\x00\x00\x00\x02\x9d\x08\x82\x3b\xd8\xa8\xea\xb5\x10\xad\x6a\xc7\x5c\x82\x3c\xfd\x3e\xd3\x1e"
