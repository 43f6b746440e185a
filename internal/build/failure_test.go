package build_test

import (
	"strings"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// Real builds that fail in the ways that are most frequent say in a sentence what is wrong, and what to try.
func TestABuildThatFailsExplainsItself(t *testing.T) {
	w := openWorld(t)
	for _, test := range []struct {
		name, runtime, command string
		files                  map[string]string
		cause, remedy          string
	}{
		{"a lock file that is out of step", "nodejs22", "npm ci", map[string]string{
			"package.json":      `{"name":"shop","version":"1.0.0","dependencies":{"left-pad":"1.3.0"}}`,
			"package-lock.json": `{"name":"shop","version":"1.0.0","lockfileVersion":3,"packages":{"":{"name":"shop","version":"1.0.0"}}}`,
		}, "the build commands failed with exit code 1: package-lock.json is missing or does not match package.json", "commit package-lock.json"},
		{"a script without its bit", "nodejs22", "./build.sh", map[string]string{"build.sh": "#!/bin/sh\necho built\n"},
			"the build commands failed with exit code 126: ./build.sh has no executable bit in Git", "git update-index --chmod=+x ./build.sh"},
		{"a command of another runtime", "nodejs22", "mvn -B package", nil, "the build commands failed with exit code 127: there is no command mvn", "corretto11"},
		{"a host that is nowhere", "nodejs22", `node -e 'fetch("http://nowhere.invalid/").catch(e => { console.error(e.cause); process.exit(3) })'`, nil,
			"the build commands failed with exit code 3: the host nowhere.invalid was not found", "DNS"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range test.files {
				write(t, dir, name, text)
			}
			write(t, dir, "apprunner.yaml", "version: 1.0\nruntime: "+test.runtime+"\nbuild:\n  commands:\n    build:\n      - |\n        "+
				test.command+"\nrun:\n  command: node app.js\n")
			_, err := w.try(t, request(t, dir))
			explained := platform.AsExplained(err)
			if explained == nil {
				t.Fatalf("the build: %v", err)
			}
			if explained.Cause != test.cause || !strings.Contains(explained.Remedy, test.remedy) {
				t.Errorf("the cause is %q, and to try is %q; want %q and %q", explained.Cause, explained.Remedy, test.cause, test.remedy)
			}
		})
	}
}

// arrivals remembers when each line came.
type arrivals map[string]time.Time

func (a arrivals) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		a[strings.TrimSpace(line)] = time.Now()
	}
	return len(p), nil
}

// A build may print anything: much, in one line, no text at all. Lines come while it runs.
func TestWhateverABuildPrintsArrivesInTimeAndInBounds(t *testing.T) {
	w, dir := openWorld(t), t.TempDir()
	write(t, dir, "noisy.js", `
const fs = require("fs"), pause = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1500);
fs.writeSync(1, "first\n"); pause();
fs.writeSync(1, "\x1b[32mgreen\x1b[0m 10%\r20%\r100% done\n\xff\xfe\x00 bytes\n"); pause();
for (let i = 0; i < 1024; i++) fs.writeSync(1, "x".repeat(1024));
fs.writeSync(1, "\nafter the long line\n");
for (let i = 0; i < 6000; i++) fs.writeSync(1, "line " + i + " " + "y".repeat(1000) + "\n");
fs.writeSync(1, "the end\n");
`)
	write(t, dir, "apprunner.yaml", "version: 1.0\nruntime: nodejs22\nbuild:\n  commands:\n    build:\n      - node noisy.js\nrun:\n  command: node noisy.js\n")
	seen, r := arrivals{}, request(t, dir)
	r.Log = seen
	result, err := w.builder.Build(t.Context(), r)
	if err != nil || result.ImageDigest == "" {
		t.Fatalf("the build: %v", err)
	}
	first, second := seen["[Build] first"], seen["[Build] 100% done"]
	if gap := second.Sub(first); first.IsZero() || second.IsZero() || gap < time.Second {
		t.Errorf("lines 1.5 s apart arrived %v apart", gap)
	}
	size := 0
	for line := range seen {
		size += len(line)
		if len(line) > 17<<10 {
			t.Errorf("a line has %d bytes", len(line))
		}
	}
	if size > 6<<20 {
		t.Errorf("the log has %d MB", size>>20)
	}
	if _, isThere := seen["[Build] after the long line"]; !isThere {
		t.Error("what follows the long line is missing")
	}
}
