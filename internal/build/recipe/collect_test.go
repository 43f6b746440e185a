package recipe_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/build/catalogue"
)

func TestWhatNobodyNeedsIsForgottenAfterAWhile(t *testing.T) {
	p, dir := newPackages(t), t.TempDir()
	close(p.hold)
	cache := p.open(t, dir)
	from, runtime := p.made()
	images, err := cache.Images(t.Context(), from, runtime, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	images.Release()
	another := &catalogue.Catalogue{} // as that of another version of apron
	age := func(by time.Duration) {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(dir, "layers", "*.json"))
		if err != nil || len(files) != 1 {
			t.Fatalf("the index has %v, %v", files, err)
		}
		if err := os.Chtimes(files[0], time.Now().Add(-by), time.Now().Add(-by)); err != nil {
			t.Fatal(err)
		}
	}
	isThere := func() bool {
		t.Helper()
		status, err := cache.Status(from, runtime)
		if err != nil {
			t.Fatal(err)
		}
		return status.IsReady
	}
	age(29 * 24 * time.Hour)
	if err := cache.Collect(t.Context(), another); err != nil || !isThere() {
		t.Errorf("what was used 29 days ago is gone (%v)", err)
	}
	age(31 * 24 * time.Hour)
	if err := cache.Collect(t.Context(), from); err != nil || !isThere() {
		t.Errorf("what the own catalogue needs is gone (%v)", err)
	}
	if err := cache.Collect(t.Context(), another); err != nil || isThere() {
		t.Errorf("what nobody has needed for 31 days is still there (%v)", err)
	}
	if left := blobs(t, dir); len(left) > 0 {
		t.Errorf("its blobs are still there: %v", left)
	}
}

func TestALayerWithoutItsBlobIsMadeAgain(t *testing.T) {
	p, dir := newPackages(t), t.TempDir()
	close(p.hold)
	cache := p.open(t, dir)
	from, runtime := p.made()
	for range 2 {
		images, err := cache.Images(t.Context(), from, runtime, t.Output())
		if err != nil {
			t.Fatal(err)
		}
		images.Release()
		checkImage(t.Context(), t, cache.Content(), images.Run)
		for _, file := range blobs(t, dir) {
			if err := os.Truncate(file, 1); err != nil {
				t.Fatal(err)
			}
		}
		if status, err := cache.Status(from, runtime); err != nil || status.IsReady {
			t.Errorf("with broken blobs the status is %+v, %v", status, err)
		}
	}
	if n := p.fetched.Load(); n != 2 {
		t.Errorf("the layer was made %d times", n)
	}
}
