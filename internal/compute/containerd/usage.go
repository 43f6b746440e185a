package containerd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/apron-run/apron/internal/compute"
	"github.com/apron-run/apron/internal/platform"
)

// Usage implements compute.Backend: it reads what the kernel counts for the instance's control group.
func (b *Backend) Usage(_ context.Context, id platform.InstanceID) (compute.Usage, error) {
	read := usageV1
	if isUnifiedCgroup() {
		read = usageV2
	}
	usage, err := read(cgroupRoot, b.cgroupOf(id))
	if errors.Is(err, fs.ErrNotExist) {
		return usage, compute.ErrNotFound
	}
	if err != nil {
		return usage, fmt.Errorf("read what instance %s uses: %w", id, err)
	}
	return usage, nil
}

func usageV1(root, group string) (compute.Usage, error) {
	cpu, err := readNumber(filepath.Join(root, "cpuacct", group, "cpuacct.usage"), "")
	memory, errMemory := readNumber(filepath.Join(root, "memory", group, "memory.usage_in_bytes"), "")
	cache, errCache := readNumber(filepath.Join(root, "memory", group, "memory.stat"), "total_inactive_file")
	return compute.Usage{CPU: time.Duration(cpu), MemoryBytes: max(memory-cache, 0)}, errors.Join(err, errMemory, errCache)
}

func usageV2(root, group string) (compute.Usage, error) {
	cpu, err := readNumber(filepath.Join(root, group, "cpu.stat"), "usage_usec")
	memory, errMemory := readNumber(filepath.Join(root, group, "memory.current"), "")
	cache, errCache := readNumber(filepath.Join(root, group, "memory.stat"), "inactive_file")
	return compute.Usage{CPU: time.Duration(cpu) * time.Microsecond, MemoryBytes: max(memory-cache, 0)}, errors.Join(err, errMemory, errCache)
}

// readNumber reads a file that is one number, or the number behind a key in one that has a line for each.
func readNumber(path, key string) (int64, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(content) {
		fields := bytes.Fields(line)
		if key == "" && len(fields) == 1 || key != "" && len(fields) == 2 && string(fields[0]) == key {
			return strconv.ParseInt(string(fields[len(fields)-1]), 10, 64)
		}
	}
	return 0, fmt.Errorf("%s: there is no number %s", path, key)
}
