package recipe

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/internal/build/catalogue"
	"github.com/apron-run/apron/internal/build/host"
	"github.com/apron-run/apron/internal/platform"
)

func TestALayerHasNoneOfTheExcludedFilesButTheirFolders(t *testing.T) {
	var stream bytes.Buffer
	writer := tar.NewWriter(&stream)
	for _, name := range []string{
		"./", "./dev/", "./dev/null", "./etc/", "./etc/hostname", "./etc/hosts", "./usr/share/man/man1/", "./usr/share/man/man1/ls.1.gz",
		"./usr/lib/marker", "./usr/lib/marker2",
	} {
		header := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644}
		if strings.HasSuffix(name, "/") {
			header.Typeflag = tar.TypeDir
		}
		if err := writer.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	var layer bytes.Buffer
	archive := tar.NewWriter(&layer)
	if err := copyDebian(archive, &stream, excludes(catalogue.Debian{Excludes: []string{"/usr/lib/marker"}}), time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	var names []string
	for reader := tar.NewReader(&layer); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
	}
	want := []string{"dev/", "etc/", "etc/hosts", "usr/share/man/man1/", "usr/lib/marker2"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("the layer's names (-want +got):\n%s", diff)
	}
}

func TestASuiteThatTheMirrorHasNoLongerIsTheCause(t *testing.T) {
	mirror := httptest.NewServer(http.NotFoundHandler())
	defer mirror.Close()
	cache, err := Open(t.TempDir(), func() host.Settings { return host.Settings{DebianMirror: mirror.URL} })
	if err != nil {
		t.Fatal(err)
	}
	recipes := &catalogue.Catalogue{Layers: map[string]catalogue.Layer{
		"base": {Debian: &catalogue.Debian{Suite: "bullseye", Packages: []string{"ca-certificates"}}},
	}}
	_, err = cache.Images(t.Context(), recipes, catalogue.Runtime{BuildLayers: []string{"base"}, RunLayers: []string{"base"}}, io.Discard)
	explained := platform.AsExplained(err)
	if explained == nil || !strings.Contains(explained.Cause, mirror.URL+" no longer has the suite bullseye") {
		t.Errorf("the cause is %v", err)
	}
}

func TestTheSourcesOfASuiteAreThoseThatItHas(t *testing.T) {
	cache := &Cache{host: func() host.Settings {
		return host.Settings{DebianMirror: "http://mirror/debian", DebianSecurity: "http://mirror/security", TakesOldLists: true}
	}}
	for _, c := range []struct {
		suite string
		want  []string
	}{
		{"sid", []string{"sid", "-", "deb http://mirror/debian sid main"}},
		{"bullseye", []string{
			"bullseye", "-", "deb http://mirror/debian bullseye main", "deb http://mirror/debian bullseye-updates main",
			"deb http://mirror/security bullseye-security main",
		}},
	} {
		args := cache.debianArgs(catalogue.Debian{Suite: c.suite, Packages: []string{"git"}})
		if got := args[len(args)-len(c.want):]; !cmp.Equal(got, c.want) {
			t.Errorf("%s: the arguments end in %q, want %q", c.suite, got, c.want)
		}
		if !strings.Contains(strings.Join(args, " "), "Acquire::Check-Valid-Until false") {
			t.Errorf("%s: apt's setting for old lists is not handed on: %q", c.suite, args)
		}
	}
}
