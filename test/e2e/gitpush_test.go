package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"

	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/sample"
)

// gitPush is a `git push apron main` that runs, as a user started it.
type gitPush struct {
	t       *testing.T
	command *exec.Cmd
	begun   time.Time

	mu    sync.Mutex // guards lines and rest
	lines []printed
	rest  []byte
}

// printed is a line, and when it arrived.
type printed struct {
	at   time.Time
	text string
}

func (p *gitPush) Write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rest = append(p.rest, data...)
	for {
		line, rest, isWhole := bytes.Cut(p.rest, []byte("\n"))
		if !isWhole {
			return len(data), nil
		}
		p.lines = append(p.lines, printed{time.Now(), strings.TrimRight(strings.TrimPrefix(string(line), "remote: "), " ")})
		p.rest = bytes.Clone(rest)
	}
}

func (p *gitPush) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	texts := make([]string, len(p.lines))
	for i, line := range p.lines {
		texts[i] = line.text
	}
	return strings.Join(texts, "\n")
}

// await returns the first line that holds text, once it is printed.
func (p *gitPush) await(text string) printed {
	p.t.Helper()
	var found printed
	apron.Until(p.t, 2*time.Minute, "the line "+text, func() (bool, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, line := range p.lines {
			if strings.Contains(line.text, text) {
				found = line
				return true, nil
			}
		}
		return false, nil
	})
	return found
}

// end waits for git's end, which must be a success, and for texts among what it printed.
func (p *gitPush) end(texts ...string) string {
	p.t.Helper()
	if err := p.command.Wait(); err != nil {
		p.t.Errorf("git push: %v\n%s", err, p)
	}
	for _, text := range texts {
		if !strings.Contains(p.String(), text) {
			p.t.Errorf("%q is not among what git push printed:\n%s", text, p)
		}
	}
	return p.String()
}

// startPush pushes what is committed to the remote that `apron remote` has set up.
func startPush(t *testing.T, repository *sample.Repository) *gitPush {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	p := &gitPush{t: t, command: exec.CommandContext(ctx, "git", "push", "apron", "main"), begun: time.Now()}
	p.command.Dir = repository.Dir
	p.command.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_TERMINAL_PROMPT=0")
	p.command.Stdout, p.command.Stderr = p, p
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// building is the sample whose build runs a command.
func building(version, command string) map[string]string {
	files := sample.PythonApp(version)
	files["apprunner.yaml"] = strings.Replace(files["apprunner.yaml"], "      - python3", "      - "+strconv.Quote(command)+"\n      - python3", 1)
	return files
}

// A user sets git up by `apron remote`, and sees in the output of each push what becomes of it: nothing yet, live, why it
// failed, of two services, after one that was interrupted.
func TestAPushShowsItsDeployment(t *testing.T) {
	t.Parallel()
	a := shared(t)
	repository := sample.NewRepository(t, sample.PythonApp("one"))
	t.Logf("%s", setUpRemote(t, a, repository, "live-push"))
	startPush(t, repository).end("The push is kept, but no service is deployed from live-push yet", "apron deploy --name live-push", "* [new branch]      main -> main")

	deployed := a.Command(t, "deploy", repository.Dir, "--name", "live-push")
	if deployed.Code != 0 || !strings.Contains(deployed.Err, "    │ [Build] + python3 -m compileall -q .\n") {
		t.Fatalf("apron deploy ended with %d:\n%s%s", deployed.Code, deployed.Out, deployed.Err)
	}
	service := a.Hold(ptr(describeByName(t, a, "live-push")))

	repository.Commit("Say two", building("two", "for i in 1 2 3 4 5; do echo printed at $(date +%s.%N); sleep 0.4; done"))
	push := startPush(t, repository)
	push.await("is live at " + service.SecureURL())
	push.end("Deploying live-push (apron operation ", "commit "+repository.Head()[:7], "│ [Build] + for i in 1 2 3 4 5", "✓ switch traffic", "main -> main")
	a.WantBody(t, service.URL, "/", "two")
	push.measure(service)

	repository.Commit("Break the build", building("three", "echo on the way; ./no-such-tool"))
	push = startPush(t, repository)
	push.end("│ [Build] on the way", "✗ build", "The deployment of live-push failed: The build commands failed with exit code 127", "no-such-tool",
		"To try: ", "Rolled back: ", "The whole log: apron logs live-push --deployment ", "The push is kept", "main -> main")
	a.WantBody(t, service.URL, "/", "two")

	input := fromCode("live-push-2", a.Endpoint()+"/git/live-push.git")
	input.SourceConfiguration.AutoDeploymentsEnabled = ptr(true)
	repository.Commit("Mend it", sample.PythonApp("four"))
	startPush(t, repository).end("live-push is live at")
	second := a.MustCreate(t, input)

	repository.Commit("Take long", building("five", "sleep 3"))
	push = startPush(t, repository)
	push.await("│ [Build] + sleep 3")
	if err := syscall.Kill(-push.command.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = push.command.Wait()
	repository.Commit("Say six", sample.PythonApp("six"))
	startPush(t, repository).end("live-push has an operation that runs (START_DEPLOYMENT, apron operation ", "live-push is live at "+service.SecureURL(),
		"live-push-2 is live at "+second.SecureURL())
	a.WantBody(t, service.URL, "/", "six")
	a.WantBody(t, second.URL, "/", "six")
	if log := a.MustCommand(t, "logs", "live-push", "--build", "-f"); !strings.Contains(log, "[Build] + python3 -m compileall") {
		t.Errorf("the log of the newest deployment, followed to its end:\n%s", log)
	}

	a.MustCommand(t, "pause", "live-push-2")
	second.WantStatus(t, types.ServiceStatusPaused)
	repository.Commit("Say seven", sample.PythonApp("seven"))
	startPush(t, repository).end("live-push is live at", "live-push-2 is paused. The push is deployed when it is resumed: apron resume live-push-2")
}

// setUpRemote runs `apron remote` as a user does who stands in the repository, and returns what it printed.
func setUpRemote(t *testing.T, a *apron.Apron, repository *sample.Repository, name string) string {
	t.Helper()
	program, err := apron.Program()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, "remote", name)
	command.Dir, command.Env = repository.Dir, append(os.Environ(), "APRON_DATA="+a.Data)
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("apron remote: %v\n%s", err, output)
	}
	return string(output)
}

// measure tells how long the push took to its first line and its operation, and how long lines of the build were on the
// way; a line that takes seconds is no live output.
func (p *gitPush) measure(service *apron.Service) {
	p.t.Helper()
	began := p.await("Deploying ")
	_, id, _ := strings.Cut(began.text, "(apron operation ")
	ids, _ := deployments(p.t, shared(p.t), service)
	operation, err := service.Operation(p.t.Context(), ids[0])
	if err != nil || !strings.HasPrefix(operation.ID, strings.TrimSuffix(id, "):")) {
		p.t.Fatalf("the push told of %s, the newest operation is %s (%v)", id, operation, err)
	}
	var slowest time.Duration
	for _, line := range p.lines {
		_, stamp, isStamped := strings.Cut(line.text, "[Build] printed at ")
		if seconds, err := strconv.ParseFloat(stamp, 64); isStamped && err == nil {
			slowest = max(slowest, line.at.Sub(time.UnixMicro(int64(seconds*1e6))))
		}
	}
	started := time.UnixMicro(int64(operation.Steps[0].StartedAt * 1e6))
	p.t.Logf("from git push to the first line %v, to the operation's first step %v; a line of the build arrived within %v",
		began.at.Sub(p.begun).Round(time.Millisecond), started.Sub(p.begun).Round(time.Millisecond), slowest.Round(time.Millisecond))
	if slowest == 0 || slowest > 3*time.Second {
		p.t.Errorf("lines of the build arrived after %v:\n%s", slowest, p)
	}
}
