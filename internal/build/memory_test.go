package build_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/build"
	"github.com/apron-run/apron/internal/compute/containerd"
	"github.com/apron-run/apron/internal/platform"
)

// limited is the world with a Builder whose builds have little memory. The limit goes with each build, so that it needs no
// buildkitd of its own.
func (w *world) limited(t *testing.T, memory int64) *world {
	t.Helper()
	return w.with(t, func(config *build.Config) { config.MemoryBytes, config.MemoryKills = memory, w.backend.BuildKills })
}

const configuration = "version: 1.0\nruntime: python311\nbuild:\n  commands:\n    build:\n      - COMMAND\nrun:\n  command: python3 app.py\n"

func TestABuildThatUsesTooMuchMemoryIsToldSo(t *testing.T) {
	w := openWorld(t).limited(t, 64<<20)
	for name, command := range map[string]string{
		"the command itself is killed":       "tail /dev/zero > /dev/null",
		"a process of the command is killed": "tail /dev/zero > /dev/null || exit 3",
		"in a step of a Dockerfile":          "",
	} {
		t.Run(name, func(t *testing.T) {
			dir := example(t, "hello-python")
			r := request(t, dir)
			write(t, dir, "apprunner.yaml", strings.Replace(configuration, "COMMAND", command, 1))
			if command == "" {
				write(t, dir, "Dockerfile", "FROM apron.local/python311\nRUN tail /dev/zero > /dev/null\n")
				r.Tags = map[string]string{platform.TagBuild: "dockerfile"}
			}
			_, err := w.try(t, r)
			if explained := platform.AsExplained(err); explained == nil || !strings.Contains(explained.Cause, "used more than its 64 MB of memory") {
				t.Errorf("the build: %v", err)
			}
		})
	}
}

func TestAnotherLimitUsesTheSameCache(t *testing.T) {
	w := openWorld(t)
	dir := example(t, "hello-python")
	write(t, dir, "apprunner.yaml", strings.Replace(configuration, "COMMAND", "echo built for the first time > /app/mark", 1))
	r := request(t, dir)
	w.mustBuild(t, r)
	if made := w.limited(t, 1<<30).mustBuild(t, r); !strings.Contains(made.log, "unchanged") {
		t.Errorf("the build ran again:\n%s", made.log)
	}
}

func TestBuildsAreBoundedTogether(t *testing.T) {
	w := openWorld(t)
	dir := example(t, "hello-python")
	write(t, dir, "apprunner.yaml", strings.Replace(configuration, "COMMAND", "cat /proc/self/cgroup", 1))
	made := w.mustBuild(t, request(t, dir))
	parent := containerd.CgroupParent(w.dir) + "/buildkit"
	limit, err := os.ReadFile("/sys/fs/cgroup" + parent + "/memory.max") // v2, where a step sees nothing above itself
	if err != nil {
		limit, err = os.ReadFile("/sys/fs/cgroup/memory" + parent + "/memory.limit_in_bytes")
		if !strings.Contains(made.log, ":memory:"+parent+"/") {
			t.Errorf("the step is not in %s:\n%s", parent, made.log)
		}
	}
	if want := strconv.Itoa(2 * buildMemory); err != nil || strings.TrimSpace(string(limit)) != want {
		t.Errorf("all builds may use %s bytes (%v), want %s", limit, err, want)
	}
}
