package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"

	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/load"
	"github.com/apron-run/apron/test/sample"
)

func TestWhatRunsSurvives(t *testing.T) {
	t.Parallel()
	a := apron.Start(t)
	t.Run("a restart of apron", func(t *testing.T) { surviveARestart(t, a) })
	t.Run("the death of its daemons", func(t *testing.T) { surviveTheDaemons(t, a) })
	t.Run("the death of its data plane", func(t *testing.T) { surviveTheDataPlane(t, a) })
	t.Run("a change of tags", func(t *testing.T) { tagsActAtOnce(t, a) })
	t.Run("the time when apron is down", func(t *testing.T) { surviveDown(t, a) })
}

func surviveARestart(t *testing.T, a *apron.Apron) {
	push(t, a, "stay:live", sample.Variant{Version: "one"})
	service := a.MustCreate(t, fromImage("stay", "stay:live", nil))
	before, process := service.WantOneInstance(t), a.Get(t, service.URL, "/id").Body
	for name, end := range map[string]func(testing.TB){"SIGTERM": a.Stop, "SIGKILL": a.Kill9} {
		end(t)
		a.Restart(t)
		// At once: what ran answers before the API does.
		a.WantBody(t, service.URL, "/id", process)
		if after := service.WantOneInstance(t); after.ID != before.ID {
			t.Errorf("after %s the instance is %+v, before it was %+v", name, after, before)
		}
	}
	push(t, a, "stay:live", sample.Variant{Version: "two"})
	service.MustDeploy(t)
	a.WantBody(t, service.URL, "/", "two")
	service.WantOneInstance(t) // what was adopted is also stopped
}

func surviveDown(t *testing.T, a *apron.Apron) {
	push(t, a, "back:live", sample.Variant{Version: "one"})
	service := a.MustCreate(t, fromImage("back", "back:live", nil))
	a.Down(t)
	if _, err := a.TryGet(t.Context(), service.URL, "/"); err == nil {
		t.Error("something answers although apron is down")
	}
	a.Restart(t)
	apron.Until(t, 30*time.Second, "an answer after apron came back", func() (bool, error) {
		answer, err := a.TryGet(t.Context(), service.URL, "/")
		return answer.Body == "one", err
	})
}

func TestAnInstanceThatEndsIsReplaced(t *testing.T) {
	t.Parallel()
	a := shared(t)
	push(t, a, "mortal:live", sample.Variant{Version: "one"})
	service := a.MustCreate(t, fromImage("mortal", "mortal:live", nil))
	before, process := service.WantOneInstance(t), a.Get(t, service.URL, "/id").Body
	a.WantBody(t, service.URL, "/exit?code=7", "")
	apron.Until(t, 30*time.Second, "a new instance that answers", func() (bool, error) {
		answer, err := a.TryGet(t.Context(), service.URL, "/id")
		return answer.Status == 200 && answer.Body != process, err
	})
	if after := service.WantOneInstance(t); after.ID == before.ID || after.RevisionID != before.RevisionID {
		t.Errorf("after the end of %+v there is %+v", before, after)
	}
	events := service.Lines(t, "events")
	if !slices.ContainsFunc(events, func(line string) bool { return strings.Contains(line, "exit code 7") }) {
		t.Errorf("the events do not tell of the exit: %q", events)
	}
}

// surviveTheDaemons kills containerd and BuildKit: instances go on, requests are answered, and both come back for the next
// deployment.
func surviveTheDaemons(t *testing.T, a *apron.Apron) {
	repository := sample.NewRepository(t, sample.PythonApp("one"))
	coded := a.MustCreate(t, fromCode("coded", repository.Dir))
	push(t, a, "steady:live", sample.Variant{Version: "one"})
	service := a.MustCreate(t, fromImage("steady", "steady:live", nil))
	process := a.Get(t, service.URL, "/id").Body
	requests := load.Start(t, a.Client, service.URL, "one", crashRate)
	for _, daemon := range []string{"containerd", "buildkitd"} {
		old := killDaemon(t, a, daemon)
		apron.Until(t, 30*time.Second, "a new "+daemon, func() (bool, error) {
			pid, err := daemonPID(a, daemon)
			return err == nil && pid != old && syscall.Kill(pid, 0) == nil, err
		})
		awaitRequests(t, requests, 50)
	}
	a.WantBody(t, service.URL, "/id", process)
	push(t, a, "steady:live", sample.Variant{Version: "two"})
	requests.Expect("two")
	service.MustDeploy(t)
	requests.Settled()
	awaitRequests(t, requests, 20)
	if report := requests.Stop(); len(report.Faults()) > 0 {
		t.Error(report)
	}
	repository.Commit("Say two", sample.PythonApp("two"))
	coded.MustDeploy(t)
	a.WantBody(t, coded.URL, "/", "two")
}

// surviveTheDataPlane kills it: who asks then is answered by the next, also by HTTP/3, which has no connection that breaks by itself.
func surviveTheDataPlane(t *testing.T, a *apron.Apron) {
	push(t, a, "plane:live", sample.Variant{Version: "one"})
	service := a.MustCreate(t, fromImage("plane", "plane:live", nil))
	third := clientByHTTP3(t, a)()
	defer third.Transport.(io.Closer).Close()
	third.Timeout = 3 * time.Second
	answersAll := func() (bool, error) {
		if answer, err := a.TryGet(t.Context(), service.URL, "/"); answer.Body != "one" {
			return false, err
		}
		response, err := third.Get("https://" + hostOf(service) + "/")
		if err != nil {
			return false, err
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK, nil
	}
	apron.Until(t, 10*time.Second, "an answer", answersAll)
	killDaemon(t, a, "proxy")
	apron.Until(t, 20*time.Second, "an answer of the next data plane", answersAll) // a client that is told nothing waits for 30 s
}

func killDaemon(t *testing.T, a *apron.Apron, name string) (pid int) {
	t.Helper()
	pid, err := daemonPID(a, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatalf("kill %s: %v", name, err)
	}
	return pid
}

// daemonPID reads the process id of one of apron's daemons from its pid file.
func daemonPID(a *apron.Apron, name string) (int, error) {
	content, err := os.ReadFile(filepath.Join(a.Data, "run", name+".pid"))
	if err != nil {
		return 0, err
	}
	var file struct{ Pid int }
	if err := json.Unmarshal(content, &file); err != nil || file.Pid <= 0 {
		return 0, fmt.Errorf("the pid file of %s holds %q", name, content)
	}
	return file.Pid, nil
}

// Everything is killed at once, in the middle of a build, as by a machine that stops. What `apron down` then does must
// leave nothing behind; Close looks for that.
func TestDownAfterEverythingWasKilledLeavesNothing(t *testing.T) {
	t.Parallel()
	a := apron.Start(t)
	push(t, a, "dead:live", sample.Variant{Version: "one"})
	a.MustCreate(t, fromImage("dead", "dead:live", nil))
	repository := sample.NewRepository(t, sample.PythonApp("one"))
	service, id := a.Create(t, built(fromCode("building", repository.Dir), types.CodeConfigurationValues{
		Runtime: types.RuntimePython311, BuildCommand: ptr("echo the build sleeps; sleep 600"), StartCommand: ptr("python3 app.py"),
	}))
	apron.Until(t, 2*time.Minute, "the build's command runs", func() (bool, error) {
		return slices.ContainsFunc(service.Lines(t, "deployment/"+id), func(line string) bool {
			return strings.Contains(line, "the build sleeps") && !strings.Contains(line, "echo")
		}), nil
	})
	a.Kill9(t)
	for _, daemon := range []string{"proxy", "buildkitd", "containerd"} {
		killDaemon(t, a, daemon)
	}
}
