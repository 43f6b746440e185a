package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"
	"golang.org/x/sys/unix"

	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/load"
	"github.com/apron-run/apron/test/sample"
)

// faultRate is how many requests a second are sent while something fails.
const faultRate = 50

// A disk whose files are used up, while it has space: new images are refused, new instances cannot be started and say why,
// and what runs goes on.
func TestADiskWhoseFilesAreUsedUp(t *testing.T) {
	t.Parallel()
	a := onTmpfs(t, "size=1200m,nr_inodes=20000")
	push(t, a, "inode:live", sample.Variant{Version: "one"})
	service := a.MustCreate(t, fromImage("inode", "inode:live", nil))
	requests := load.Start(t, a.Client, service.URL, "one", faultRate)
	junk := filepath.Join(a.Data, "junk")
	if err := os.Mkdir(junk, 0o700); err != nil {
		t.Fatal(err)
	}
	var err error
	for i := 0; err == nil; i++ {
		err = unix.Mknod(filepath.Join(junk, fmt.Sprint(i)), unix.S_IFREG|0o600, 0)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	wantFailure(t, service.WantOperation(t, service.Deploy(t), "ROLLBACK_SUCCEEDED"), "has used 100 % of its files", "apron delete")
	update := service.Update(t, imageSource("inode:live", map[string]string{"GREETING": "updated"}))
	wantFailure(t, service.WantOperation(t, update, "ROLLBACK_SUCCEEDED"), "the disk of "+a.Data+" is full", "df -i")
	awaitRequests(t, requests, faultRate)
	service.WantStatus(t, types.ServiceStatusRunning)

	if err := os.RemoveAll(junk); err != nil {
		t.Fatal(err)
	}
	push(t, a, "inode:live", sample.Variant{Version: "two"})
	requests.Expect("two")
	service.MustDeploy(t)
	requests.Settled()
	wantNoFaults(t, requests)
	service.WantOneInstance(t)
}

// An image does not fit on the disk, which is seen only when it has filled it.
func TestADiskThatFillsUpDuringAPull(t *testing.T) {
	t.Parallel()
	a := onTmpfs(t, "size=60m")
	push(t, a, "small:live", sample.Variant{Version: "one"})
	service := a.MustCreate(t, fromImage("filled", "small:live", nil))
	requests := load.Start(t, a.Client, service.URL, "one", faultRate)
	host := serveImage(t, sample.Image(t, sample.Variant{Version: "large", PaddingMiB: 28}), nil)
	update := service.Update(t, imageSource(host+"/app:live", nil))
	wantFailure(t, service.WantOperation(t, update, "ROLLBACK_SUCCEEDED"), "no space left on device")
	apron.Until(t, time.Minute, "room on the disk again", func() (bool, error) { // containerd removes what nothing holds soon, not at once
		var disk unix.Statfs_t
		err := unix.Statfs(a.Data, &disk)
		return disk.Bavail*10 > disk.Blocks, err
	})
	push(t, a, "small:live", sample.Variant{Version: "two"})
	requests.Expect("two")
	service.MustDeploy(t)
	requests.Settled()
	wantNoFaults(t, requests)
}

// A file system that finds a fault in itself becomes read-only. The services answer, the API says what is wrong, and the
// operation that was running goes on after the reboot that mends the disk.
func TestADiskThatBecomesReadOnly(t *testing.T) {
	slow(t)
	t.Parallel()
	a, device := onExt4(t, "errors=remount-ro")
	push(t, a, "readonly:live", sample.Variant{Version: "one"})
	service := a.MustCreate(t, fromImage("readonly", "readonly:live", nil))
	made := a.MustCreate(t, built(fromCode("built", sample.NewRepository(t, sample.PythonApp("built")).Dir), types.CodeConfigurationValues{
		Runtime: types.RuntimePython311, BuildCommand: ptr("python3 -m compileall -q ."), StartCommand: ptr("python3 app.py"), Port: ptr("8080"),
	}))
	requests := load.Start(t, a.Client, service.URL, "one", faultRate)
	push(t, a, "readonly:live", sample.Variant{Version: "two", Environment: map[string]string{"START_DELAY": "3s"}})
	requests.Expect("two")
	id := service.Deploy(t)
	apron.Until(t, time.Minute, "the deployment waits for its new instance", func() (bool, error) {
		operation, err := service.Operation(t.Context(), id)
		return operation.HasReached("health check"), err
	})
	fault := filepath.Join("/sys/fs/ext4", filepath.Base(device), "trigger_fs_error")
	if err := os.WriteFile(fault, []byte("a fault of a test"), 0); err != nil {
		t.Fatal(err)
	}
	_, err := a.SDK().CreateService(t.Context(), fromImage("another", "readonly:live", nil))
	if err == nil || !strings.Contains(err.Error(), "its disk fails or is read-only") {
		t.Errorf("a call that writes: %v", err)
	}
	service.WantStatus(t, types.ServiceStatusOperationInProgress)
	awaitRequests(t, requests, 5*faultRate)
	if report := requests.Stop(); len(report.Faults()) > 0 {
		t.Error(report)
	}
	if outcome := a.Command(t, "down"); outcome.Code != 1 || !strings.Contains(outcome.Err, "The disk of "+a.Data+" is read-only") {
		t.Errorf("apron down: %+v", outcome)
	}

	a.Reboot(t)
	apron.Until(t, 10*time.Second, "the disk is checked", func() (bool, error) { // what was just killed may hold it still
		output, err := exec.Command("fsck.ext4", "-p", device).CombinedOutput()
		return err == nil || hasMended(err), fmt.Errorf("%w: %s", err, output)
	})
	if err := unix.Mount(device, a.Data, "ext4", 0, ""); err != nil {
		t.Fatal(err)
	}
	a.Restart(t)
	service.WantOperation(t, id, "SUCCEEDED")
	a.WantBody(t, service.URL, "/", "two")
	service.WantOneInstance(t)
	apron.Until(t, time.Minute, "the service that was built answers", func() (bool, error) {
		answer, err := a.TryGet(t.Context(), made.URL, "/")
		return answer.Body == "built", err
	})
}

// hasMended says whether fsck has corrected what it found.
func hasMended(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit) && exit.ExitCode() == 1
}

// A disk that takes no writes for some seconds, as one that is far too busy or on a network that is away: everything that is
// to be remembered waits, and goes on by itself.
func TestADiskThatStalls(t *testing.T) {
	t.Parallel()
	a, _ := onExt4(t, "")
	push(t, a, "stall:live", sample.Variant{Version: "one"})
	service := a.MustCreate(t, fromImage("stall", "stall:live", nil))
	push(t, a, "stall:live", sample.Variant{Version: "two"})
	requests := load.Start(t, a.Client, service.URL, "one", faultRate)
	requests.Expect("two")
	id := service.Deploy(t)
	// In a process of its own, so that the disk goes on whatever becomes of the test.
	stall := exec.Command("sh", "-c", `fsfreeze -f "$0" && sleep 5; fsfreeze -u "$0"`, a.Data)
	stall.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	if output, err := stall.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if got := requests.Sent(); got < 4*faultRate {
		t.Errorf("%d requests were answered", got)
	}
	service.WantOperation(t, id, "SUCCEEDED")
	requests.Settled()
	wantNoFaults(t, requests)
	service.WantOneInstance(t)
}

// onTmpfs starts an apron whose data directory is a disk of its own, in memory.
func onTmpfs(t *testing.T, options string) *apron.Apron {
	t.Helper()
	return onDisk(t, "tmpfs", "tmpfs", options)
}

// onExt4 starts an apron whose data directory is a disk of its own with ext4, and returns the disk's device.
func onExt4(t *testing.T, options string) (a *apron.Apron, device string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "disk")
	run(t, "truncate", "--size=3G", file)
	run(t, "mkfs.ext4", "-q", file)
	device = strings.TrimSpace(run(t, "losetup", "--find", "--show", file))
	t.Cleanup(func() { run(t, "losetup", "--detach", device) })
	return onDisk(t, device, "ext4", options), device
}

func onDisk(t *testing.T, device, kind, options string) *apron.Apron {
	t.Helper()
	a := apron.Start(t)
	a.Down(t)
	if err := unix.Mount(device, a.Data, kind, 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.Down(t)
		if err := unix.Unmount(a.Data, 0); err != nil {
			t.Errorf("unmount the disk of the test: %v", err)
		}
	})
	a.Restart(t)
	return a
}

func run(t *testing.T, program string, arguments ...string) string {
	t.Helper()
	output, err := exec.Command(program, arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(arguments, " "), err, output)
	}
	return string(output)
}

// wantNoFaults ends the load and fails the test when a request was lost or answered wrongly.
func wantNoFaults(t *testing.T, requests *load.Load) {
	t.Helper()
	report := requests.Stop()
	t.Log(report)
	if len(report.Faults()) > 0 {
		t.Error("requests were lost or answered wrongly")
	}
}
