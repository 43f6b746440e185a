package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"

	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/sample"
)

// A machine that stops without a warning loses everything but its disk. After the next start every service that ran
// answers again, an operation that had begun goes on, and nothing of before is left.
func TestServicesComeBackAfterAReboot(t *testing.T) {
	t.Parallel()
	a := apron.Start(t)
	push(t, a, "front:live", sample.Variant{Version: "web"})
	push(t, a, "paused:live", sample.Variant{Version: "paused"})
	push(t, a, "moving:live", sample.Variant{Version: "old"})
	web := a.MustCreate(t, fromImage("front", "front:live", nil))
	paused := a.MustCreate(t, fromImage("paused", "paused:live", nil))
	input := fromImage("asleep", "front:live", nil)
	input.Tags = []types.Tag{{Key: ptr("apron:min-size"), Value: ptr("0")}, {Key: ptr("apron:scale-to-zero-after"), Value: ptr("1s")}}
	asleep := a.MustCreate(t, input)
	moving := a.MustCreate(t, fromImage("moving", "moving:live", nil))
	output, err := a.SDK().PauseService(t.Context(), &apprunner.PauseServiceInput{ServiceArn: &paused.ARN})
	if err != nil {
		t.Fatal(err)
	}
	paused.WantOperation(t, *output.OperationId, "SUCCEEDED")
	wantInstances(t, asleep, 0)
	push(t, a, "moving:live", sample.Variant{Version: "new", Environment: map[string]string{"START_DELAY": "3s"}})
	id := moving.Deploy(t)
	apron.Until(t, time.Minute, "the deployment waits for its new instance", func() (bool, error) {
		operation, err := moving.Operation(t.Context(), id)
		return operation.HasReached("health check"), err
	})

	a.Reboot(t)
	began := time.Now()
	a.Restart(t)
	apron.Until(t, 30*time.Second, "an answer after the reboot", func() (bool, error) {
		answer, err := a.TryGet(t.Context(), web.URL, "/")
		return answer.Body == "web", err
	})
	t.Logf("the first answer came %s after the start", time.Since(began))
	moving.WantOperation(t, id, "SUCCEEDED")
	a.WantBody(t, moving.URL, "/", "new")
	paused.WantStatus(t, types.ServiceStatusPaused)
	resumed, err := a.SDK().ResumeService(t.Context(), &apprunner.ResumeServiceInput{ServiceArn: &paused.ARN})
	if err != nil {
		t.Fatal(err)
	}
	paused.WantOperation(t, *resumed.OperationId, "SUCCEEDED")
	a.WantBody(t, paused.URL, "/", "paused")
	wantWokenOnce(t, a, asleep)

	var running []string
	for _, service := range []*apron.Service{web, paused, moving} {
		running = append(running, service.WantOneInstance(t).ID)
		service.WantStatus(t, types.ServiceStatusRunning)
	}
	slices.Sort(running)
	for _, folder := range []string{"instances", "run/netns", "run/containerd/io.containerd.runtime.v2.task/apron"} {
		apron.Until(t, 30*time.Second, "nothing of before in "+folder, func() (bool, error) {
			left := a.Dirs(t, folder)
			slices.Sort(left)
			return slices.Equal(left, running), fmt.Errorf("there are %v, and %v run", left, running)
		})
	}
	web.MustDeploy(t)
}

// wantWokenOnce fails the test unless nothing has started the service, whose requests wake it and let it sleep again.
func wantWokenOnce(t *testing.T, a *apron.Apron, service *apron.Service) {
	t.Helper()
	if instances := service.Instances(t); len(instances) != 0 {
		t.Errorf("a service at zero was woken by nobody: %+v", instances)
	}
	a.WantBody(t, service.URL, "/", "web")
	wantInstances(t, service, 0)
	service.WantStatus(t, types.ServiceStatusRunning)
	woken := 0
	for _, line := range service.Lines(t, "events") {
		if strings.Contains(line, "Scaled out: ") {
			woken++
		}
	}
	if woken != 1 {
		t.Errorf("it was woken %d times: %q", woken, service.Lines(t, "events"))
	}
}

// Of many versions, the data directory keeps those that can be gone back to, and the registry those that have a tag.
func TestThirtyVersionsTakeBoundedRoom(t *testing.T) {
	t.Parallel()
	const versions, kept, paddingMiB = 30, 10, 4
	a := apron.Start(t)
	push(t, a, "many:live", sample.Variant{Version: "version 0", PaddingMiB: paddingMiB})
	service := a.MustCreate(t, fromImage("many", "many:live", nil))
	images, registry := filepath.Join(a.Data, "containerd"), filepath.Join(a.Data, "registry")
	oneImage, onePush := sizeBelow(images), sizeBelow(registry)
	for i := 1; i < versions; i++ {
		push(t, a, "many:live", sample.Variant{Version: fmt.Sprint("version ", i), PaddingMiB: paddingMiB})
		service.MustDeploy(t)
	}
	a.WantBody(t, service.URL, "/", fmt.Sprint("version ", versions-1))
	// Of each image there are the layers as they came and as they are unpacked; one more is on its way out.
	bound := oneImage + 2*(kept+2)*paddingMiB<<20
	apron.Until(t, 30*time.Second, "images of old revisions are removed", func() (bool, error) {
		size := sizeBelow(images)
		return size <= bound, fmt.Errorf("%d bytes, want at most %d", size, bound)
	})
	if pushed := sizeBelow(registry); pushed < versions*paddingMiB<<20 {
		t.Errorf("the registry has only %d bytes of %d pushes", pushed, versions)
	}

	// What no tag names goes once no push has named it for hours.
	past := time.Now().Add(-24 * time.Hour)
	a.Stop(t)
	err := filepath.WalkDir(registry, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(path, past, past)
	})
	if err != nil {
		t.Fatal(err)
	}
	a.Restart(t)
	bound = onePush + 1<<20
	apron.Until(t, 30*time.Second, "pushes that no tag names are removed", func() (bool, error) {
		size := sizeBelow(registry)
		return size <= bound, fmt.Errorf("%d bytes, want at most %d", size, bound)
	})
	service.MustDeploy(t)
	if list := a.MustCommand(t, "revisions", "many"); strings.Count(strings.TrimSpace(list), "\n") != kept {
		t.Errorf("apron revisions prints, want %d of them:\n%s", kept, list)
	}
	// The oldest that is listed can be gone back to.
	lines := strings.Split(strings.TrimSpace(a.MustCommand(t, "revisions", "many")), "\n")
	a.MustCommand(t, "rollback", "many", strings.Fields(lines[len(lines)-1])[0])
}

// sizeBelow adds up the disk space of the files below a folder, each once.
func sizeBelow(dir string) (bytes int) {
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil // it went away
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			bytes += int(info.Size())
		}
		return nil
	})
	return bytes
}

// The limits reach the steps that they are for, and a refused deployment changes nothing.
func TestABuildIsRefusedOnAFullDiskAndImagesAreNot(t *testing.T) {
	t.Parallel()
	a := apron.Start(t, "--disk-limit=build=1", "--builds=1", "--build-memory=256M")
	repository := sample.NewRepository(t, sample.PythonApp("never"))
	refused, id := a.Create(t, fromCode("refused", repository.Dir))
	wantFailure(t, refused.WantOperation(t, id, "FAILED"), "the disk of "+a.Data, "% full", "--disk-limit build=")
	push(t, a, "taken:live", sample.Variant{Version: "one"})
	taken := a.MustCreate(t, fromImage("taken", "taken:live", nil))
	a.WantBody(t, taken.URL, "/", "one")
}

// The reason for which an instance was replaced is in the event log, and where people look first.
func TestAnInstanceOutOfMemoryIsReplacedAndTheReasonIsTold(t *testing.T) {
	t.Parallel()
	a := shared(t)
	push(t, a, "hungry:live", sample.Variant{Version: "one"})
	service := a.MustCreate(t, fromImage("hungry", "hungry:live", nil))
	before := service.WantOneInstance(t)
	if shown := a.MustCommand(t, "service", "hungry"); strings.Contains(shown, "Replaced") {
		t.Errorf("apron service of one that was never replaced:\n%s", shown)
	}
	a.WantBody(t, service.URL, "/eat", "")
	apron.Until(t, 30*time.Second, "a new instance that answers", func() (bool, error) {
		answer, err := a.TryGet(t.Context(), service.URL, "/")
		instances := service.Instances(t)
		return answer.Status == 200 && len(instances) == 1 && instances[0].ID != before.ID && instances[0].State == "RUNNING", err
	})
	service.WantStatus(t, types.ServiceStatusRunning)
	if events := service.Lines(t, "events"); !slices.ContainsFunc(events, func(line string) bool {
		return strings.Contains(line, before.ID) && strings.Contains(line, "more than its 512 MB of memory")
	}) {
		t.Errorf("the events do not tell why: %q", events)
	}
	shown := a.MustCommand(t, "service", "hungry")
	if !strings.Contains(shown, "1 instance in the last hour") || !strings.Contains(shown, "more than its 512 MB of memory") {
		t.Errorf("apron service does not tell:\n%s", shown)
	}
}
