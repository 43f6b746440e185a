package containerd_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/compute/computetest"
	"github.com/apron-run/apron/internal/compute/containerd"
	"github.com/apron-run/apron/internal/compute/containerd/containerdtest"
	"github.com/apron-run/apron/internal/freezer"
	"github.com/apron-run/apron/internal/platform"
)

// bench is a machine with a backend and the test app's image.
type bench struct {
	*computetest.Bench
	machine *containerdtest.Machine
	backend *containerd.Backend
}

func newBench(t testing.TB) *bench {
	t.Helper()
	machine := containerdtest.Start(t)
	backend := machine.Backend(t)
	return &bench{computetest.NewBench(t, computetest.Fixture{
		Backend: backend, Images: backend, Dir: filepath.Join(machine.DataDir, "logs"), HostAddress: machine.Network.Gateway().String(),
	}), machine, backend}
}

func TestInstances(t *testing.T) {
	b := newBench(t)
	computetest.Run(t, b.Bench)
	t.Run("one that hears no signal ends at once", func(t *testing.T) { endsWithoutHearing(t, b) })
	t.Run("a frozen one uses no processor and can be killed", func(t *testing.T) { freezesWhole(t, b) })
	t.Run("outlives the connection and containerd", func(t *testing.T) { outlivesContainerd(t, b) })
	t.Run("remains are swept while others start", func(t *testing.T) { testSweep(t, b) })
	t.Run("a shim that nobody knows is swept", func(t *testing.T) { sweepsLostShims(t, b) })
	t.Run("what only runc knows is no obstacle and does not stay", func(t *testing.T) { testRemainsOfRunc(t, b) })
	t.Run("layers of removed images leave the disk", func(t *testing.T) { removesLayers(t, b) })
	t.Run("nothing is left of those that were stopped", func(t *testing.T) { leavesNothing(t, b) })
}

// What an app cannot hear is not waited for.
func endsWithoutHearing(t *testing.T, b *bench) {
	spec, instance := b.On(t).Start("/testapp", "deaf")
	b.Get(instance, "/")
	began := time.Now()
	if err := b.backend.Stop(t.Context(), spec.ID, time.Minute); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("its end took %s", took)
	}
}

// A frozen process of cgroup v1 does not die of SIGKILL either.
func freezesWhole(t *testing.T, b *bench) {
	spec, instance := b.On(t).Start("/testapp", "print")
	group := filepath.Dir(instance.Freezer)
	usage := filepath.Join(strings.Replace(group, "/freezer/", "/cpuacct/", 1), "cpuacct.usage")
	if filepath.Base(instance.Freezer) == "cgroup.freeze" {
		usage = filepath.Join(group, "cpu.stat")
	}
	used := func() string {
		content, err := os.ReadFile(usage)
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	for begun := used(); used() == begun; time.Sleep(time.Millisecond) {
	}
	if err := (freezer.Files{}).Freeze(instance.Freezer); err != nil {
		t.Fatal(err)
	}
	before, after := "", used()
	for deadline := time.Now().Add(10 * time.Second); after != before && time.Now().Before(deadline); after = used() {
		before = after // it may have been in the kernel still
		time.Sleep(200 * time.Millisecond)
	}
	if after != before {
		t.Errorf("it goes on using the processor: %s, before %s", after, before)
	}
	began := time.Now()
	if err := b.backend.Stop(t.Context(), spec.ID, 0); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("its end took %s", took)
	}
}

func outlivesContainerd(t *testing.T, b *bench) {
	spec, instance := b.On(t).Start()
	b.On(t).Get(instance, "/")
	killContainerd(t, b)
	if err := b.machine.Daemon.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := b.machine.Backend(t)
	adopted, err := again.Inspect(t.Context(), spec.ID)
	if err != nil || adopted.State != platform.InstanceStateRunning || adopted.Address != instance.Address || adopted.ServiceID != "5e7" {
		t.Errorf("adopted: %+v, %v", adopted, err)
	}
	b.On(t).Get(instance, "/")
	if _, err := b.backend.List(t.Context()); err != nil {
		t.Errorf("the old connection: %v", err)
	}
}

func leavesNothing(t *testing.T, b *bench) {
	if err := b.backend.Down(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"instances", "run/netns", "network/leases/instances"} {
		entries, err := os.ReadDir(filepath.Join(b.machine.DataDir, dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if len(entry.Name()) == 32 || strings.HasPrefix(entry.Name(), "10.") {
				t.Errorf("%s/%s is left", dir, entry.Name())
			}
		}
	}
	if groups, err := filepath.Glob("/sys/fs/cgroup/*/" + containerd.CgroupParent(b.machine.DataDir)); err != nil || len(groups) > 0 {
		t.Errorf("control groups are left: %v, %v", groups, err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), b.machine.DataDir) {
		t.Errorf("mounts are left, or %v:\n%s", err, mounts)
	}
}

func killContainerd(t *testing.T, b *bench) {
	t.Helper()
	var id struct{ Pid int }
	content, err := os.ReadFile(filepath.Join(b.machine.DataDir, "run", "containerd.pid"))
	if err == nil {
		err = json.Unmarshal(content, &id)
	}
	if err == nil {
		err = syscall.Kill(id.Pid, syscall.SIGKILL)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func BenchmarkStart(bb *testing.B) {
	b := newBench(bb)
	for bb.Loop() {
		spec, _ := b.Start()
		bb.StopTimer()
		if err := b.backend.Stop(bb.Context(), spec.ID, 0); err != nil {
			bb.Fatal(err)
		}
		bb.StartTimer()
	}
}
