package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"golang.org/x/sys/unix"

	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/sample"
)

// A disk of the data directory's own fills up to the last block. Deployments are refused before, the service goes on, and
// what brings relief still works: the database is not the first to fail.
func TestADiskThatIsFullToTheLastBlock(t *testing.T) {
	t.Parallel()
	a := apron.Start(t)
	a.Down(t)
	const size = 1200 << 20
	if err := unix.Mount("tmpfs", a.Data, "tmpfs", 0, "size=1200m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.Down(t)
		if err := unix.Unmount(a.Data, 0); err != nil {
			t.Errorf("unmount the small disk: %v", err)
		}
	})
	a.Restart(t)
	push(t, a, "brave:live", sample.Variant{Version: "one"})
	service := a.MustCreate(t, fromImage("brave", "brave:live", nil))
	reserve, junk := filepath.Join(a.Data, "reserve"), filepath.Join(a.Data, "junk")
	apron.Until(t, 10*time.Second, "a reserve", func() (bool, error) {
		_, err := os.Stat(reserve)
		return err == nil, err
	})

	file, err := os.Create(junk)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var disk unix.Statfs_t
	if err := unix.Statfs(a.Data, &disk); err != nil {
		t.Fatal(err)
	}
	if err := unix.Fallocate(int(file.Fd()), 0, 0, int64(disk.Bavail)*disk.Bsize-size/25); err != nil { // 96 % full
		t.Fatal(err)
	}
	wantFailure(t, service.WantOperation(t, service.Deploy(t), "ROLLBACK_SUCCEEDED"), "the disk of "+a.Data, "% full", "apron delete")
	if _, err := file.Seek(0, 2); err != nil {
		t.Fatal(err)
	}
	// What the reserve leaves behind is the database's: a program that goes on writing would take that too.
	isReserved := func() bool { _, err := os.Stat(reserve); return err == nil }
	for block := make([]byte, 4096); err == nil && isReserved(); {
		_, err = file.Write(block)
	}
	if err != nil && !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}

	a.WantBody(t, service.URL, "/", "one")
	apron.Until(t, 10*time.Second, "the reserve is given up", func() (bool, error) {
		_, err := os.Stat(reserve)
		return os.IsNotExist(err), err
	})
	var paused *apprunner.PauseServiceOutput
	apron.Until(t, 10*time.Second, "room for the database", func() (bool, error) { // the kernel frees a file after its name is gone
		paused, err = a.SDK().PauseService(t.Context(), &apprunner.PauseServiceInput{ServiceArn: &service.ARN})
		return err == nil, err
	})
	service.WantOperation(t, *paused.OperationId, "SUCCEEDED")
	resumed, err := a.SDK().ResumeService(t.Context(), &apprunner.ResumeServiceInput{ServiceArn: &service.ARN})
	if err != nil {
		t.Fatal(err)
	}
	service.WantOperation(t, *resumed.OperationId, "SUCCEEDED")
	a.WantBody(t, service.URL, "/", "one")

	if err := os.Remove(junk); err != nil {
		t.Fatal(err)
	}
	file.Close()
	apron.Until(t, 10*time.Second, "a reserve again", func() (bool, error) {
		_, err := os.Stat(reserve)
		return err == nil, err
	})
	push(t, a, "brave:live", sample.Variant{Version: "two"})
	service.MustDeploy(t)
	a.WantBody(t, service.URL, "/", "two")
}
