package build_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// BenchmarkOneLineChange measures a build after one changed line with everything else in the cache, the case that a
// developer waits for most.
func BenchmarkOneLineChange(b *testing.B) {
	w := openWorld(b)
	for _, test := range []struct{ example, file, line string }{
		{"hello-python", "app.py", "Hello from Python"},
		{"hello-node", "server.js", "Hello from Node.js"},
		{"hello-go", "main.go", "Hello from Go"},
	} {
		b.Run(test.example, func(b *testing.B) {
			dir := example(b, test.example)
			r := request(b, dir)
			w.mustBuild(b, r)
			text, err := os.ReadFile(filepath.Join(dir, test.file))
			if err != nil {
				b.Fatal(err)
			}
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				write(b, dir, test.file, strings.Replace(string(text), test.line, fmt.Sprint(test.line, " ", i, " ", time.Now().UnixNano()), 1))
				b.StartTimer()
				w.mustBuild(b, r)
			}
		})
	}
}
