package containerd

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/compute"
)

func TestUsageIsReadFromBothKindsOfControlGroups(t *testing.T) {
	t.Parallel()
	want := compute.Usage{CPU: 1500 * time.Millisecond, MemoryBytes: 700}
	for name, test := range map[string]struct {
		read  func(root, group string) (compute.Usage, error)
		files map[string]string
	}{
		"v1": {usageV1, map[string]string{
			"cpuacct/apron/one/cpuacct.usage": "1500000000\n", "memory/apron/one/memory.usage_in_bytes": "1000\n",
			"memory/apron/one/memory.stat": "cache 400\ninactive_file 1\ntotal_inactive_file 300\n",
		}},
		"v2": {usageV2, map[string]string{
			"apron/one/cpu.stat": "usage_usec 1500000\nuser_usec 1\n", "apron/one/memory.current": "1000\n",
			"apron/one/memory.stat": "anon 400\ninactive_file 300\n",
		}},
	} {
		root := t.TempDir()
		for path, content := range test.files {
			path = filepath.Join(root, path)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := test.read(root, "/apron/one"); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, want)
		}
		if _, err := test.read(root, "/apron/other"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: an instance that is gone: %v", name, err)
		}
	}
}
