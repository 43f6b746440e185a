package chaos

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	client "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/snapshots"
	_ "modernc.org/sqlite" // the driver of the database that is looked into

	"github.com/apron-run/apron/internal/compute/containerd"
	"github.com/apron-run/apron/test/apron"
)

// machine looks at what an apron has on this machine, past its API.
type machine struct {
	data, socket string
	containerd   *client.Client
	database     *sql.DB
	// orphans are what nobody owned when it was looked at last, and since when.
	orphans map[string]time.Time
}

// instanceID tells instances from the containers and snapshots of builds, and from files.
var instanceID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// orphanTimeout is how long something that nobody owns may stay: apron looks once a minute, and some work goes before.
const orphanTimeout = 90 * time.Second

func newMachine(t testing.TB, a *apron.Apron) *machine {
	t.Helper()
	m := &machine{data: a.Data, socket: filepath.Join(a.Data, "run", "containerd.sock"), orphans: map[string]time.Time{}}
	var err error
	if m.containerd, err = client.New(m.socket, client.WithDefaultNamespace(containerd.Namespace)); err != nil {
		t.Fatal(err)
	}
	if m.database, err = sql.Open("sqlite", "file:"+filepath.Join(a.Data, "apron.db")+"?mode=ro&_pragma=busy_timeout(10000)"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(m.containerd.Close(), m.database.Close()); err != nil {
			t.Error(err)
		}
	})
	return m
}

// look notes what belongs to none of the instances, to no revision and to no operation that runs. It is called when nothing does.
func (m *machine) look(ctx context.Context, instances map[string]bool) error {
	traces, err := m.traces(ctx)
	if err != nil {
		return err
	}
	images, err := m.imagesOfNobody(ctx)
	if err != nil {
		return err
	}
	checkouts, err := m.entries("sources")
	if err != nil {
		return err
	}
	now, orphans := time.Now(), map[string]time.Time{}
	note := func(what string) {
		orphans[what] = now
		if since, isKnown := m.orphans[what]; isKnown {
			orphans[what] = since
		}
	}
	for what, id := range traces {
		if !instances[id] {
			note(what)
		}
	}
	for _, each := range images {
		note("image " + each)
	}
	for _, each := range checkouts {
		note("checkout " + each)
	}
	m.orphans = orphans
	return nil
}

// late lists the orphans that should be gone.
func (m *machine) late() []string {
	var late []string
	for what, since := range m.orphans {
		if time.Since(since) > orphanTimeout {
			late = append(late, fmt.Sprintf("%s belongs to nobody since %s", what, since.Format("15:04:05")))
		}
	}
	slices.Sort(late)
	return late
}

// traces are everything that an instance may have on the machine, each with the instance's id.
func (m *machine) traces(ctx context.Context) (map[string]string, error) {
	found := map[string]string{}
	note := func(kind, id string) {
		if instanceID.MatchString(id) {
			found[kind+" "+id] = id
		}
	}
	for kind, dir := range map[string]string{
		"folder": "instances", "network namespace": "run/netns", "bundle": "run/containerd/io.containerd.runtime.v2.task/apron",
		"bundle's folder": "containerd/io.containerd.runtime.v2.task/apron",
	} {
		names, err := m.entries(dir)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			note(kind, name)
		}
	}
	leases, err := filepath.Glob(filepath.Join(m.data, "network/leases/*/*"))
	if err != nil {
		return nil, err
	}
	for _, lease := range leases {
		if _, err := netip.ParseAddr(filepath.Base(lease)); err != nil {
			continue
		}
		if content, err := os.ReadFile(lease); err == nil {
			id, _, _ := strings.Cut(string(content), "\n")
			note("address "+filepath.Base(lease), strings.TrimSpace(id))
		}
	}
	for id := range m.shims() {
		note("shim", id)
	}
	groups, err := filepath.Glob("/sys/fs/cgroup/*" + containerd.CgroupParent(m.data) + "/*")
	if err != nil {
		return nil, err
	}
	unified, err := filepath.Glob("/sys/fs/cgroup" + containerd.CgroupParent(m.data) + "/*")
	if err != nil {
		return nil, err
	}
	for _, group := range append(groups, unified...) {
		note("control group", filepath.Base(group))
	}
	containers, err := m.containerd.ContainerService().List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	for _, each := range containers {
		note("container", each.ID)
	}
	err = m.containerd.SnapshotService("overlayfs").Walk(ctx, func(_ context.Context, info snapshots.Info) error {
		note("snapshot", info.Name)
		return nil
	})
	return found, err
}

// imagesOfNobody lists the images that no revision has.
func (m *machine) imagesOfNobody(ctx context.Context) ([]string, error) {
	images, err := m.containerd.ImageService().List(ctx, `name~=^apron\.local/`)
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	rows, err := m.database.QueryContext(ctx, `SELECT image FROM revisions`)
	if err != nil {
		return nil, fmt.Errorf("list the images of revisions: %w", err)
	}
	defer rows.Close()
	owned := map[string]bool{}
	for rows.Next() {
		var image string
		if err := rows.Scan(&image); err != nil {
			return nil, err
		}
		owned[image] = true
	}
	var orphans []string
	for _, image := range images {
		if !owned[image.Name] {
			orphans = append(orphans, image.Name)
		}
	}
	return orphans, rows.Err()
}

// entries are the names in a folder of the data directory, which need not be there.
func (m *machine) entries(dir string) ([]string, error) {
	found, err := os.ReadDir(filepath.Join(m.data, dir))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	names := make([]string, len(found))
	for i, each := range found {
		names[i] = each.Name()
	}
	return names, nil
}
