package recipe

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

func TestAnInstallationLeavesNoTraceOfItsTime(t *testing.T) {
	began := time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)
	packaged := time.Date(2023, 6, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name          string
		at            time.Time
		content, want string
		wantAt        time.Time
	}{
		{"usr/lib/python3/abc.py", packaged, "pass\n", "pass\n", packaged},
		{"usr/lib/python3/__pycache__/abc.pyc", began.Add(time.Second), "code", "code", epoch},
		{"etc/ld.so.cache", began.Truncate(time.Second), "cache", "cache", epoch},
		{"etc/shadow", began, "root:*:20513:0:99999:7:::\n_apt:!:20513::::::\n", "root:*::0:99999:7:::\n_apt:!:::::::\n", epoch},
	} {
		header := &tar.Header{Name: test.name, ModTime: test.at, AccessTime: began, Size: int64(len(test.content))}
		content, err := normalise(header, strings.NewReader(test.content), began)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(content)
		if err != nil || string(text) != test.want || header.Size != int64(len(test.want)) {
			t.Errorf("%s holds %q of %d bytes, %v; want %q", test.name, text, header.Size, err, test.want)
		}
		if !header.ModTime.Equal(test.wantAt) || !header.AccessTime.IsZero() {
			t.Errorf("%s is of %v, want %v", test.name, header.ModTime, test.wantAt)
		}
	}
}

func TestLayersWithTheSamePackagesAreTheSame(t *testing.T) {
	layer := func(files ...string) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "layer")
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		compressed, err := zstd.NewWriter(file)
		if err != nil {
			t.Fatal(err)
		}
		archive := tar.NewWriter(compressed)
		for i := 0; i < len(files); i += 2 {
			if err := writeText(archive, files[i], files[i+1]); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(archive.Close(), compressed.Close(), file.Close()); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const cacerts = "etc/ssl/certs/java/cacerts"
	first := layer(cacerts, "made at one", packageList, "Package: java\nVersion: 1\n")
	if again := layer(cacerts, "made at two", packageList, "Package: java\nVersion: 1\n"); !haveSamePackages(first, again) {
		t.Error("another installation of the same packages counts as something new")
	}
	if newer := layer(cacerts, "made at two", packageList, "Package: java\nVersion: 2\n"); haveSamePackages(first, newer) {
		t.Error("a newer version counts as the same")
	}
	if other := layer("usr/bin/node", "x"); haveSamePackages(other, other) {
		t.Error("layers without packages count as the same by their packages")
	}
}
