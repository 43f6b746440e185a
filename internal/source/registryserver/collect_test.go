package registryserver_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/apron-run/apron/internal/source/registryserver"
)

// size adds up the files of a folder.
func size(t *testing.T, dir string) (bytes int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

// makeOld lets everything in dir look as if no push had named it for a day.
func makeOld(t *testing.T, dir string) {
	t.Helper()
	past := time.Now().Add(-24 * time.Hour)
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(path, past, past)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestThirtyVersionsOfATagTakeTheRoomOfOne(t *testing.T) {
	dir := t.TempDir()
	host, server := serve(t, registryserver.Config{Dir: dir})
	const layers = 2 * 64 << 10
	for range 30 {
		if err := remote.Write(tag(t, "%s/team/app:live", host), randomImage(t, layers/2), auth); err != nil {
			t.Fatal(err)
		}
	}
	if err := server.Collect(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	if left := size(t, dir); left < 30*layers {
		t.Errorf("of what was just pushed only %d bytes are left", left)
	}
	makeOld(t, dir)
	if err := server.Collect(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	if left := size(t, dir); left > 2*layers {
		t.Errorf("%d bytes are left of 30 versions of %d", left, layers)
	}
	image, err := remote.Image(tag(t, "%s/team/app:live", host), auth)
	if err == nil {
		err = validate.Image(image)
	}
	if err != nil {
		t.Errorf("the last version: %v", err)
	}
	// A push after it works, also of what was collected.
	if err := remote.Write(tag(t, "%s/team/app:live", host), randomImage(t, layers/2), auth); err != nil {
		t.Error(err)
	}
}

func TestWhatIsTaggedNamedOrPartOfAnIndexStays(t *testing.T) {
	dir := t.TempDir()
	var keep []string
	host, server := serve(t, registryserver.Config{Dir: dir, Keep: func(context.Context) ([]string, error) { return keep, nil }})
	tagged, named, gone := randomImage(t, 1<<10), randomImage(t, 1<<10), randomImage(t, 1<<10)
	if err := remote.Write(tag(t, "%s/app:v1", host), tagged, auth); err != nil {
		t.Fatal(err)
	}
	digests := map[string]string{}
	for name, image := range map[string]v1.Image{"tagged": tagged, "named": named, "gone": gone} {
		digest, err := image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		digests[name] = digest.String()
	}
	for name, image := range map[string]v1.Image{"named": named, "gone": gone} {
		repository := tag(t, "%s/app:v1", host).Repository
		if err := remote.Write(repository.Digest(digests[name]), image, auth); err != nil {
			t.Fatal(err)
		}
	}
	index, err := random.Index(1<<10, 1, 2)
	if err == nil {
		err = remote.WriteIndex(tag(t, "%s/many:v1", host), index, auth)
	}
	if err != nil {
		t.Fatal(err)
	}
	keep = []string{digests["named"]}
	makeOld(t, dir)
	if err := server.Collect(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	for name, stays := range map[string]bool{"tagged": true, "named": true, "gone": false} {
		image, err := remote.Image(tag(t, "%s/app:v1", host).Repository.Digest(digests[name]), auth)
		if err == nil {
			err = validate.Image(image)
		}
		if (err == nil) != stays {
			t.Errorf("%s: %v", name, err)
		}
	}
	pulled, err := remote.Index(tag(t, "%s/many:v1", host), auth)
	if err == nil {
		err = validate.Index(pulled)
	}
	if err != nil {
		t.Errorf("the index: %v", err)
	}
}

func TestNothingIsCollectedWhenNobodyKnowsWhatIsNeeded(t *testing.T) {
	dir := t.TempDir()
	unknown := errors.New("the store does not answer")
	host, server := serve(t, registryserver.Config{Dir: dir, Keep: func(context.Context) ([]string, error) { return nil, unknown }})
	for range 2 {
		if err := remote.Write(tag(t, "%s/app:v1", host), randomImage(t, 1<<10), auth); err != nil {
			t.Fatal(err)
		}
	}
	makeOld(t, dir)
	before := size(t, dir)
	if err := server.Collect(t.Context(), time.Hour); !errors.Is(err, unknown) || size(t, dir) != before {
		t.Errorf("%v, %d bytes of %d are left", err, size(t, dir), before)
	}
}

// Layers that a client is told are there are there until it has put its manifest, however old they are.
func TestPushesDuringCollectionsArrive(t *testing.T) {
	dir := t.TempDir()
	host, server := serve(t, registryserver.Config{Dir: dir})
	image := randomImage(t, 4<<10)
	done := make(chan struct{})
	var collecting sync.WaitGroup
	collecting.Go(func() {
		for {
			if err := server.Collect(t.Context(), time.Hour); err != nil {
				t.Error(err)
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	for i := range 20 {
		// Pushed, replaced and old: the next push of the same image races with its collection.
		for _, pushed := range []v1.Image{image, randomImage(t, 1<<10)} {
			if err := remote.Write(tag(t, "%s/app:v%d", host, i%2), pushed, auth); err != nil {
				t.Errorf("push %d: %v", i, err)
			}
		}
		_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			past := time.Now().Add(-24 * time.Hour)
			_ = os.Chtimes(path, past, past)
			return nil // what was collected meanwhile is gone
		})
	}
	close(done)
	collecting.Wait()
	if err := remote.Write(tag(t, "%s/app:end", host), image, auth); err != nil {
		t.Fatal(err)
	}
	pulled, err := remote.Image(tag(t, "%s/app:end", host), auth)
	if err == nil {
		err = validate.Image(pulled)
	}
	if err != nil {
		t.Error(err)
	}
}

func TestAPushIsRefusedWithItsReasonWhereThereIsNoRoom(t *testing.T) {
	host, _ := serve(t, registryserver.Config{Dir: t.TempDir(), Room: func() error { return errors.New("the disk is 96 % full") }})
	err := remote.Write(tag(t, "%s/app:v1", host), randomImage(t, 1<<10), auth)
	if err == nil || !strings.Contains(err.Error(), "the disk is 96 % full") {
		t.Errorf("the push: %v", err)
	}
	request := newRequest(t, http.MethodGet, fmt.Sprintf("http://%s/v2/", host), nil)
	if status, _, _ := do(t, request); status != http.StatusOK {
		t.Errorf("other requests: %d", status)
	}
}
