package build_test

import (
	"strings"
	"testing"

	"github.com/moby/buildkit/client"

	"github.com/apron-run/apron/internal/platform"
)

const (
	cachingFile = `version: 1.0
runtime: python311
build:
  commands:
    build:
      - mkdir -p /root/.cache && echo once >> /root/.cache/trace
      - cp /root/.cache/trace trace
run:
  command: python3 app.py
`
	cachingDockerfile = `FROM apron.local/python311
RUN --mount=type=cache,id=own,target=/var/own echo once >> /var/own/trace && cp /var/own/trace /trace
CMD ["true"]
`
)

// A service finds what it kept itself and nothing of another's, neither in a folder for caches nor as a finished layer.
func TestCachesAreOfOneService(t *testing.T) {
	w := openWorld(t)
	for name, tags := range map[string]map[string]string{
		"a runtime": nil, "a Dockerfile": {platform.TagBuild: "dockerfile"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "apprunner.yaml", cachingFile)
			write(t, dir, "Dockerfile", cachingDockerfile)
			mine, other := request(t, dir), request(t, dir)
			mine.Tags, other.Tags = tags, tags
			w.mustBuild(t, mine)
			if again := w.mustBuild(t, mine); !strings.Contains(again.log, "unchanged") {
				t.Errorf("the service did not find its own layers:\n%s", again.log)
			}
			if others := w.mustBuild(t, other); strings.Contains(others.log, "unchanged") {
				t.Errorf("another service got the layers of the first:\n%s", others.log)
			}
			if mine, other := w.caches(t, mine.ServiceID), w.caches(t, other.ServiceID); mine != 1 || other != 1 {
				t.Errorf("there are %d and %d folders, want one each", mine, other)
			}
			if err := w.builder.Forget(t.Context(), mine.ServiceID); err != nil {
				t.Fatal(err)
			}
			if mine, other := w.caches(t, mine.ServiceID), w.caches(t, other.ServiceID); mine != 0 || other != 1 {
				t.Errorf("after the first was forgotten there are %d and %d folders, want 0 and 1", mine, other)
			}
		})
	}
}

// caches counts the folders of cache mounts that BuildKit keeps for a service.
func (w *world) caches(t *testing.T, service platform.ServiceID) (count int) {
	t.Helper()
	conn, err := client.New(t.Context(), "unix://"+w.dir+"/run/buildkitd.sock")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	all, err := conn.DiskUsage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, each := range all {
		if each.RecordType == client.UsageRecordTypeCacheMount && strings.Contains(each.Description, string(service)) {
			count++
		}
	}
	return count
}
