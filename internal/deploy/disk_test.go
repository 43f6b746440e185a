package deploy

import (
	"errors"
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/platform"
)

func TestAFullDiskRefusesBuildsFirstAndThenAllImages(t *testing.T) {
	for _, test := range []struct {
		used         int
		build, image bool
	}{{0, true, true}, {89, true, true}, {90, false, true}, {94, false, true}, {95, false, false}, {100, false, false}} {
		disk := Disk{Dir: "/data", Limits: DefaultDiskLimits(), Used: func(string) (int, error) { return test.used, nil }}
		if err := disk.RoomForBuild(); (err == nil) != test.build {
			t.Errorf("a build at %d %%: %v", test.used, err)
		}
		if err := disk.RoomForImage(); (err == nil) != test.image {
			t.Errorf("an image at %d %%: %v", test.used, err)
		}
	}
}

func TestTheRefusalSaysHowFullWhichDiskAndWhatToDo(t *testing.T) {
	disk := Disk{Dir: "/data", Limits: DefaultDiskLimits(), Used: func(string) (int, error) { return 93, nil }}
	err := disk.RoomForBuild()
	if platform.AsExplained(err) == nil {
		t.Fatalf("it is not explained: %v", err)
	}
	for _, want := range []string{"/data", "93 %", "90 %", "apron delete", "--disk-limit build="} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %s", want, err)
		}
	}
}

func TestDiskLimitsAreRead(t *testing.T) {
	limits := DefaultDiskLimits()
	for _, text := range []string{"build=70", "deploy=99"} {
		if err := limits.Set(text); err != nil {
			t.Error(err)
		}
	}
	if want := (DiskLimits{70, 99}); limits != want {
		t.Errorf("%+v, want %+v", limits, want)
	}
	for _, wrong := range []string{"", "build", "build=0", "build=101", "build=9x", "pull=90"} {
		if err := limits.Set(wrong); err == nil || !strings.Contains(err.Error(), "disk limit ") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

func TestTheSystemSaysHowFullADiskIs(t *testing.T) {
	percent, err := diskUsed(t.TempDir())
	if err != nil || percent < 1 || percent > 100 {
		t.Errorf("%d %%, %v", percent, err)
	}
	if _, err := diskUsed("/no/such/folder"); err == nil {
		t.Error("a folder that is not there has a disk")
	}
}

func TestAFaultOfTheDiskIsExplainedAndNothingElse(t *testing.T) {
	disk := Disk{Dir: "/data"}
	for text, want := range map[string]string{
		"start instance: runc create failed: open /data/run/state: no space left on device":   "The disk of /data is full",
		"start instance: mkdir /data/instances/1: disk quota exceeded":                        "a quota is used up",
		"rename /data/sources/1.partial: read-only file system":                               "The disk of /data is read-only",
		"rpc error: code = Unknown desc = write /data/containerd/meta.db: input/output error": "The disk of /data fails",
		"rpc error: code = Unavailable desc = connection refused":                             "",
	} {
		err := disk.Explain(errors.New(text))
		explained := platform.AsExplained(err)
		if want == "" && explained != nil || want != "" && (explained == nil || !strings.Contains(explained.Cause, want)) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if known := platform.Explain(nil, "The application stopped: no space left on device"); !errors.Is(disk.Explain(known), known) {
		t.Error("what is explained is explained anew")
	}
}
