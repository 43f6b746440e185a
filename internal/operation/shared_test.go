package operation

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apron-run/apron/internal/compute"
	"github.com/apron-run/apron/internal/deploy"
	"github.com/apron-run/apron/internal/platform"
)

// shared is a backend that several processes reach: files in one folder. It writes down when each effect begins and ends.
type shared struct {
	dir     string
	process string
}

// effect is a line of the record.
type effect struct {
	Process string
	Service platform.ServiceID
	Call    string
	Begun   time.Time
	Ended   time.Time // zero in the line that tells of the beginning
}

// slowly is how long an effect takes that a test wants to be in the middle of, in milliseconds.
const slowly = "slowly"

// do records an effect. Each takes a few milliseconds at least, so that two at a time would be seen.
func (s shared) do(service platform.ServiceID, call string, work func() error) error {
	line := effect{Process: s.process, Service: service, Call: call, Begun: time.Now()}
	if err := s.record(line); err != nil {
		return err
	}
	takes := 5 * time.Millisecond
	if text, err := os.ReadFile(filepath.Join(s.dir, slowly)); err == nil && call == "pull" {
		if n, err := strconv.Atoi(string(text)); err == nil {
			takes = time.Duration(n) * time.Millisecond
		}
	}
	time.Sleep(takes) // deaf to ctx: the worst of effects
	err := work()
	line.Ended = time.Now()
	return errors.Join(err, s.record(line))
}

// record appends a line; short writes to the end of a file are whole.
func (s shared) record(line effect) error {
	file, err := os.OpenFile(filepath.Join(s.dir, "effects"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(json.NewEncoder(file).Encode(line), file.Close())
}

// effects reads the record: what has ended, and what has only begun.
func (s shared) effects() (ended, begun []effect, err error) {
	content, err := os.ReadFile(filepath.Join(s.dir, "effects"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	open := map[effect]bool{}
	for lines := bufio.NewScanner(bytes.NewReader(content)); lines.Scan(); {
		var line effect
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return nil, nil, err
		}
		key := line
		key.Ended = time.Time{}
		if line.Ended.IsZero() {
			open[key] = true
			continue
		}
		delete(open, key)
		ended = append(ended, line)
	}
	for line := range open {
		begun = append(begun, line)
	}
	return ended, begun, nil
}

func (s shared) path(kind, name string) string {
	return filepath.Join(s.dir, kind+"-"+url.PathEscape(name))
}

func (s shared) save(path string, value any) error {
	content, err := json.Marshal(value)
	if err != nil {
		return err
	}
	temporary := path + "." + s.process
	return errors.Join(os.WriteFile(temporary, content, 0o600), os.Rename(temporary, path))
}

func (s shared) Start(_ context.Context, spec compute.InstanceSpec) (instance platform.Instance, err error) {
	err = s.do(spec.ServiceID, "start", func() error {
		if _, err := os.Stat(s.path("image", spec.Image)); err != nil {
			return fmt.Errorf("no image %s: %w", spec.Image, err)
		}
		instance = platform.Instance{
			ID: spec.ID, ServiceID: spec.ServiceID, RevisionID: spec.RevisionID, State: platform.InstanceStateRunning, Address: "10.0.0.1:8080",
		}
		return s.save(s.path("instance", string(spec.ID)), instance)
	})
	return instance, err
}

func (s shared) Stop(ctx context.Context, id platform.InstanceID, _ time.Duration) error {
	instance, err := s.Inspect(ctx, id)
	if errors.Is(err, compute.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.do(instance.ServiceID, "stop", func() error { return os.RemoveAll(s.path("instance", string(id))) })
}

func (s shared) Inspect(_ context.Context, id platform.InstanceID) (instance platform.Instance, err error) {
	content, err := os.ReadFile(s.path("instance", string(id)))
	if errors.Is(err, fs.ErrNotExist) {
		return instance, compute.ErrNotFound
	}
	if err != nil {
		return instance, err
	}
	return instance, json.Unmarshal(content, &instance)
}

func (s shared) List(ctx context.Context, of ...platform.ServiceID) (all []platform.Instance, err error) {
	paths, err := filepath.Glob(filepath.Join(s.dir, "instance-*"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		id := strings.TrimPrefix(filepath.Base(path), "instance-")
		if strings.Contains(id, ".") {
			continue // being written
		}
		if instance, err := s.Inspect(ctx, platform.InstanceID(id)); err == nil && (len(of) == 0 || slices.Contains(of, instance.ServiceID)) {
			all = append(all, instance)
		}
	}
	return all, nil
}

func (s shared) Usage(context.Context, platform.InstanceID) (compute.Usage, error) {
	return compute.Usage{}, nil
}

func (s shared) Exits(ctx context.Context) (<-chan platform.InstanceID, error) {
	exits := make(chan platform.InstanceID)
	context.AfterFunc(ctx, func() { close(exits) })
	return exits, nil
}

func (s shared) Sweep(context.Context) error { return nil }

func (s shared) Pull(_ context.Context, name, reference string, _ io.Writer) (compute.Image, error) {
	service, _, _ := strings.Cut(name[strings.LastIndex(name, "/")+1:], ":")
	image := compute.Image{Name: name, Digest: reference}
	return image, s.do(platform.ServiceID(service), "pull", func() error { return s.save(s.path("image", name), image) })
}

func (s shared) Image(_ context.Context, name string) (image compute.Image, err error) {
	content, err := os.ReadFile(s.path("image", name))
	if errors.Is(err, fs.ErrNotExist) {
		return image, compute.ErrNotFound
	}
	if err != nil {
		return image, err
	}
	return image, json.Unmarshal(content, &image)
}

func (s shared) ListImages(context.Context) ([]string, error) { return nil, nil }

func (s shared) Import(context.Context, string, io.Reader) (compute.Image, error) {
	panic("not part of an operation")
}

func (s shared) Remove(_ context.Context, name string) error {
	return os.RemoveAll(s.path("image", name))
}

func (s shared) ResolveImage(_ context.Context, identifier string) (string, error) {
	return identifier + "@sha256:1", nil
}

func (s shared) ResolveCommit(context.Context, platform.Source) (string, error) {
	panic("services are images")
}

func (s shared) Fetch(context.Context, platform.Source, string, string, io.Writer) error {
	panic("services are images")
}

func (s shared) Build(context.Context, deploy.BuildRequest) (deploy.BuildResult, error) {
	panic("services are images")
}

func (s shared) Key(context.Context, deploy.BuildRequest, string) string {
	panic("services are images")
}

func (s shared) Forget(context.Context, platform.ServiceID) error { return nil }

func (s shared) Probe(context.Context, string, platform.HealthCheck) error { return nil }

func (s shared) WaitHealthy(context.Context, string, platform.HealthCheck, time.Duration) error {
	return nil
}

func (s shared) SetRoute(platform.Route) {}

func (s shared) RemoveRoute(platform.ServiceID) {}

func (s shared) Flush(context.Context) error { return nil }

func (s shared) Drain(context.Context, []platform.InstanceID) int { return 0 }

func (s shared) EndTunnels(context.Context, []platform.InstanceID) {}

func (s shared) Routes(context.Context) ([]platform.Route, error) { return nil, nil }

func (s shared) Event(platform.ServiceID, string, ...any) {}

func (s shared) Deployment(platform.ServiceID, platform.OperationID) io.WriteCloser { return nowhere{} }

func (s shared) InstancePath(platform.ServiceID, platform.InstanceID) string { return "" }

func (s shared) LastLines(platform.ServiceID, string, int) []string { return nil }

func (s shared) RemoveService(platform.ServiceID) {}

type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (nowhere) Close() error                { return nil }
