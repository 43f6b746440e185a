package recipe

import (
	"archive/tar"
	"io"
	"strings"
	"testing"
	"time"
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
