package chaos

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	buildkit "github.com/moby/buildkit/client"
)

// sampling is the measures of an apron over time.
type sampling struct {
	at     []time.Time
	values map[string][]float64
}

// sample measures everything once. A measure that is not there now, such as a file that was removed, is 0.
func (w *world) sample(ctx context.Context, into *sampling) error {
	now := map[string]float64{}
	err := errors.Join(w.sampleProcesses(now), w.sampleGoroutines(ctx, now), w.sampleDisk(ctx, now), w.sampleTables(ctx, now))
	if err != nil {
		return err
	}
	if into.values == nil {
		into.values = map[string][]float64{}
	}
	for name, value := range now {
		series := into.values[name]
		for len(series) < len(into.at) {
			series = append(series, 0)
		}
		into.values[name] = append(series, value)
	}
	into.at = append(into.at, time.Now())
	for name, series := range into.values {
		if len(series) < len(into.at) {
			into.values[name] = append(series, 0)
		}
	}
	return nil
}

func (w *world) sampleProcesses(now map[string]float64) error {
	for _, each := range w.apron.Processes() {
		name := each.Name
		switch {
		case each.PID == w.apron.PID():
			name = "apron serve"
		case name == "apron":
			name = "apron proxy"
		case name != "containerd" && name != "buildkitd":
			continue // as many as there are instances
		}
		open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", each.PID))
		if err != nil {
			return err
		}
		now["MiB of "+name] = float64(each.Bytes) / (1 << 20)
		now["files of "+name] = float64(len(open))
	}
	for _, name := range []string{"apron serve", "apron proxy"} {
		if now["MiB of "+name] == 0 { // else what is not looked at would not grow
			return fmt.Errorf("no process of %s was found", name)
		}
	}
	return nil
}

func (w *world) sampleGoroutines(ctx context.Context, now map[string]float64) error {
	var serve struct{ Goroutines float64 }
	if err := getJSON(ctx, http.DefaultClient, w.apron.Endpoint()+"/healthz", &serve); err != nil {
		return err
	}
	now["goroutines of apron serve"] = serve.Goroutines
	control := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(w.apron.Data, "run/proxy.sock"))
	}}}
	defer control.CloseIdleConnections()
	var proxy struct{ Goroutines float64 }
	if err := getJSON(ctx, control, "http://proxy/v1/health", &proxy); err != nil {
		return err
	}
	now["goroutines of apron proxy"] = proxy.Goroutines
	return nil
}

func getJSON(ctx context.Context, client *http.Client, url string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return json.NewDecoder(response.Body).Decode(into)
}

// sampleDisk measures the parts of the data directory, without what is mounted in it.
func (w *world) sampleDisk(ctx context.Context, now map[string]float64) error {
	// du complains about files that leave while it looks.
	output, _ := exec.CommandContext(ctx, "du", "--one-file-system", "--all", "--block-size=1", "--max-depth=1", w.apron.Data).Output()
	lines := bufio.NewScanner(bytes.NewReader(output))
	for lines.Scan() {
		size, path, _ := strings.Cut(lines.Text(), "\t")
		part, err := filepath.Rel(w.apron.Data, path)
		if err != nil || part == "." {
			continue
		}
		bytes, err := strconv.ParseFloat(size, 64)
		if err != nil {
			return err
		}
		part, _, _ = strings.Cut(part, "-") // the database is several files
		now["MiB on disk in "+part] += bytes / (1 << 20)
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return w.sampleCache(ctx, now)
}

// sampleCache tells the build cache from the images, with which it shares containerd's folder.
func (w *world) sampleCache(ctx context.Context, now map[string]float64) error {
	daemon, err := buildkit.New(ctx, "unix://"+filepath.Join(w.apron.Data, "run/buildkitd.sock"))
	if err != nil {
		return err
	}
	defer daemon.Close()
	records, err := daemon.DiskUsage(ctx)
	if err != nil {
		return fmt.Errorf("measure the build cache: %w", err)
	}
	var bytes int64
	for _, each := range records {
		if !each.Shared {
			bytes += each.Size
		}
	}
	now["MiB of the build cache"] = float64(bytes) / (1 << 20)
	now["MiB on disk in containerd"] -= now["MiB of the build cache"]
	return nil
}

// sampleTables counts the rows of every table.
func (w *world) sampleTables(ctx context.Context, now map[string]float64) error {
	rows, err := w.machine.database.QueryContext(ctx, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`)
	if err != nil {
		return err
	}
	defer rows.Close()
	var tables []string
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			return err
		}
		tables = append(tables, table)
	}
	for _, table := range tables {
		var count float64
		if err := w.machine.database.QueryRowContext(ctx, `SELECT count(*) FROM `+strconv.Quote(table)).Scan(&count); err != nil {
			return err
		}
		now["rows of "+table] = count
	}
	return rows.Err()
}
