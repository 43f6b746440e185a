package app

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store"
	"github.com/apron-run/apron/internal/store/sqlite"
)

// smallDisk is a folder on a file system of its own.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill writes until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for block := make([]byte, 4096); ; {
		if _, err := file.Write(block); errors.Is(err, unix.ENOSPC) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheDatabaseCanStillWriteWhenTheDiskIsFull(t *testing.T) {
	dir := smallDisk(t, "32m")
	db, err := sqlite.Open(t.Context(), filepath.Join(dir, "apron.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	create := func(name string) error {
		id := platform.NewServiceID()
		service := platform.Service{ID: id, Name: name, ARN: "arn:" + name, Subdomain: platform.NewSubdomain(), Configuration: platform.DefaultConfiguration()}
		service.Configuration.Source.Code = &platform.CodeSource{RepositoryURL: strings.Repeat("x", 64<<10)} // beyond what SQLite has at hand
		return db.CreateService(t.Context(), service, platform.Operation{ID: platform.NewOperationID(), ServiceID: id, Type: platform.OperationCreateService}, nil)
	}
	kept := newReserve(dir, slog.New(slog.DiscardHandler))
	if err := kept.runOnce(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(kept.path); err != nil || info.Size() != 32<<20/reserveShare {
		t.Fatalf("the reserve: %+v, %v", info, err)
	}
	if err := create("before"); err != nil {
		t.Fatal(err)
	}
	junk := filepath.Join(dir, "junk")
	fill(t, junk)
	if err := create("refused"); !strings.Contains(new(Config).storeFault(err), "its disk is full") {
		t.Errorf("the database on a full disk: %v, %q", err, new(Config).storeFault(err))
	}
	if err := kept.runOnce(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"after", "once more"} {
		if err := create(name); err != nil {
			t.Errorf("with the reserve: %v", err)
		}
	}
	if err := kept.runOnce(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(kept.path); err == nil {
		t.Error("the reserve was made on a full disk")
	}
	if err := os.Remove(junk); err != nil {
		t.Fatal(err)
	}
	if err := kept.runOnce(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(kept.path); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if services, err := db.ListServices(t.Context(), store.ServicePage{}); err != nil || len(services) != 3 {
		t.Errorf("%d services, %v", len(services), err)
	}
}
