package recipe

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

const (
	// workBytes bounds what one installation may hold in memory: the largest has 1.3 GB with its packages.
	workBytes = 3 << 30
	// enoughMemory is what the machine must have to spare for that: layersAtOnce of them, and as much for others.
	enoughMemory = 2 * layersAtOnce * workBytes
)

// inMemory runs a program with a file system in memory at $TMPDIR, where the machine can mount one. An installation writes each
// file several times and is thrown away, so the disk costs it a third of its time. The mount is the program's own: it is gone
// with the program, however that ends. What instances have mounted is not the program's matter: it lets go of that, because a
// file system stays as long as anyone has it.
const inMemory = `while read -r id parent device root at rest; do
  case "$at" in / | /usr/* | /etc/* | /opt/*) continue ;; esac
  case "$TMPDIR" in "$at"/*) continue ;; esac
  case " $rest " in *" - overlay "* | *" - nsfs "* | *" /dev/loop"*) umount -l "$at" 2>/dev/null ;; esac
done </proc/self/mountinfo
mount -t tmpfs -o size=%d,mode=755 tmpfs "$TMPDIR" || echo "working on the disk" >&2
exec "$0" "$@"`

// workCommand is the command with its work folder in memory, if there is plenty.
func workCommand(ctx context.Context, program string, args []string) *exec.Cmd {
	if availableMemory() < enoughMemory {
		return exec.CommandContext(ctx, program, args...)
	}
	script := fmt.Sprintf(inMemory, workBytes)
	return exec.CommandContext(ctx, "unshare", append([]string{"--mount", "sh", "-c", script, program}, args...)...)
}

// availableMemory is what programs can have without swapping, in bytes; 0 where the machine does not tell.
func availableMemory() int64 {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		var kilobytes int64
		if _, err := fmt.Sscanf(line, "MemAvailable: %d kB", &kilobytes); err == nil {
			return kilobytes << 10
		}
	}
	return 0
}
