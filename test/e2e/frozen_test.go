package e2e

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"

	"github.com/apron-run/apron/internal/freezer"
	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/sample"
)

// freezerOf is the file that says whether an instance is frozen.
func freezerOf(t *testing.T, instance string) string {
	t.Helper()
	for _, pattern := range []string{"/sys/fs/cgroup/freezer/apron-*/%/freezer.state", "/sys/fs/cgroup/apron-*/%/cgroup.freeze"} {
		if found, err := filepath.Glob(strings.Replace(pattern, "%", instance, 1)); err == nil && len(found) == 1 {
			return found[0]
		}
	}
	t.Fatalf("instance %s has no control group that can be frozen", instance)
	return ""
}

func awaitFrozen(t *testing.T, file string) {
	t.Helper()
	apron.Until(t, 2*time.Minute, "the instance is frozen", func() (bool, error) { return freezer.Files{}.IsFrozen(file) })
}

// An instance without requests is frozen. Whatever part of apron ends meanwhile: its next request is answered by the same process.
func TestAFrozenInstanceAnswersItsNextRequest(t *testing.T) {
	t.Parallel()
	a := apron.Start(t)
	push(t, a, "sleepy:live", sample.Variant{Version: "one"})
	input := fromImage("sleepy", "sleepy:live", nil)
	input.Tags = []types.Tag{{Key: ptr("apron:freeze-after"), Value: ptr("1s")}}
	input.HealthCheckConfiguration = &types.HealthCheckConfiguration{
		Protocol: types.HealthCheckProtocolHttp, Interval: ptr(int32(1)), Timeout: ptr(int32(1)), UnhealthyThreshold: ptr(int32(1)),
	}
	service := a.MustCreate(t, input)
	process, instance := a.Get(t, service.URL, "/id").Body, service.WantOneInstance(t)
	file := freezerOf(t, instance.ID)
	answers := func(t *testing.T) {
		t.Helper()
		began := time.Now()
		a.WantBody(t, service.URL, "/id", process)
		t.Logf("the first request to the frozen instance took %s", time.Since(began))
	}

	awaitFrozen(t, file)
	time.Sleep(3 * time.Second) // three health checks
	if after := service.WantOneInstance(t); after.ID != instance.ID {
		t.Errorf("a frozen instance is replaced: %+v", after)
	}
	answers(t)

	t.Run("which runs while it has a stream", func(t *testing.T) { streamsWhole(t, a, service, file) })
	for name, end := range map[string]func(t *testing.T){
		"when apron serve was killed, and when it is back": func(t *testing.T) {
			a.Kill9(t)
			answers(t)
			awaitFrozen(t, file)
			a.Restart(t)
		},
		"when the data plane was killed": func(t *testing.T) {
			old := killDaemon(t, a, "proxy")
			apron.Until(t, 30*time.Second, "another data plane", func() (bool, error) {
				pid, err := daemonPID(a, "proxy")
				if err != nil || pid == old {
					return false, nil
				}
				conn, err := net.Dial("tcp", a.HTTP)
				if err == nil {
					conn.Close()
				}
				return err == nil, nil
			})
		},
		"when all of apron was stopped": func(t *testing.T) {
			a.Stop(t)
			a.Restart(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			awaitFrozen(t, file)
			end(t)
			answers(t)
		})
	}

	awaitFrozen(t, file)
	push(t, a, "sleepy:live", sample.Variant{Version: "two"})
	service.MustDeploy(t)
	a.WantBody(t, service.URL, "/", "two")
	if now := service.WantOneInstance(t); now.ID == instance.ID {
		t.Error("the frozen instance was not stopped")
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("the control group of the frozen instance is left")
	}
	awaitFrozen(t, freezerOf(t, service.WantOneInstance(t).ID)) // and what is down leaves nothing
}

// streamsWhole reads an answer that takes longer than what freezes an idle instance.
func streamsWhole(t *testing.T, a *apron.Apron, service *apron.Service, file string) {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+service.URL+"/stream?lines=25", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := a.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if lines, err := io.ReadAll(response.Body); err != nil || strings.Count(string(lines), "\n") != 25 {
		t.Errorf("%d lines of 25: %v", strings.Count(string(lines), "\n"), err)
	}
}
