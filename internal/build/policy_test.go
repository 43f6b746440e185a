package build_test

import (
	"path/filepath"
	"testing"

	"github.com/moby/buildkit/client"
)

// What the configuration says of the cache is what buildkitd goes by.
func TestTheBuilderBoundsItsCache(t *testing.T) {
	w := openWorld(t)
	conn, err := client.New(t.Context(), "unix://"+filepath.Join(w.dir, "run", "buildkitd.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	workers, err := conn.ListWorkers(t.Context())
	if err != nil || len(workers) != 1 || len(workers[0].GCPolicy) != 2 {
		t.Fatalf("workers: %+v, %v", workers, err)
	}
	sources, all := workers[0].GCPolicy[0], workers[0].GCPolicy[1]
	if sources.MaxUsedSpace <= 0 || sources.MaxUsedSpace > all.MaxUsedSpace {
		t.Errorf("sources may take %d bytes, all may take %d", sources.MaxUsedSpace, all.MaxUsedSpace)
	}
	if !all.All || all.MaxUsedSpace < 2<<30 || all.MaxUsedSpace > 50<<30 || all.ReservedSpace != 512<<20 || all.MinFreeSpace <= 0 {
		t.Errorf("the cache is bounded by %+v", all)
	}
}
