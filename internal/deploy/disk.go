package deploy

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/apron-run/apron/internal/platform"
)

// DiskLimits says how full the disk of the data directory may be, in percent, before new builds are refused, and before
// everything that brings a new image is.
type DiskLimits struct{ Build, Deploy int }

// DefaultDiskLimits leaves what runs, its logs and the database a twentieth of the disk.
func DefaultDiskLimits() DiskLimits { return DiskLimits{Build: 90, Deploy: 95} }

// Set reads "build=PERCENT" or "deploy=PERCENT".
func (l *DiskLimits) Set(text string) error {
	name, value, _ := strings.Cut(text, "=")
	percent, err := strconv.Atoi(value)
	if err != nil || percent < 1 || percent > 100 {
		return fmt.Errorf("disk limit %q: want build=PERCENT or deploy=PERCENT, such as build=85", text)
	}
	switch name {
	case "build":
		l.Build = percent
	case "deploy":
		l.Deploy = percent
	default:
		return fmt.Errorf("disk limit %q: want build=PERCENT or deploy=PERCENT, such as build=85", text)
	}
	return nil
}

// Disk watches how full the disk of the data directory is. What needs no new image always works, however full it is:
// pausing, resuming, deleting, going back to a revision, changing the configuration, and replacing instances that died.
type Disk struct {
	// Dir is the data directory.
	Dir    string
	Limits DiskLimits
	// Used says how full the disk of a folder is, in percent; nil asks the system.
	Used func(dir string) (percent int, err error)
}

// RoomForBuild is an explained error when the disk is too full to build.
func (d Disk) RoomForBuild() error {
	if err := d.RoomForImage(); err != nil {
		return err
	}
	return d.room("builds", "build", d.Limits.Build)
}

// RoomForImage is an explained error when the disk is too full for any new image.
func (d Disk) RoomForImage() error { return d.room("images", "deploy", d.Limits.Deploy) }

// RoomToGoOn is an explained error when a build that runs has filled the disk so far that it must stop.
func (d Disk) RoomToGoOn() error {
	err := d.room("images", "deploy", max(d.Limits.Build, d.Limits.Deploy))
	full := platform.AsExplained(err)
	if full == nil {
		return err
	}
	return platform.Explain(full, "the build was stopped because the disk of %s became too full, so that what runs can go on", d.Dir).
		Try("let it write less, or make room: %s", full.Remedy).WithEvidence(full.Cause)
}

func (d Disk) room(what, setting string, limit int) error {
	used := d.Used
	if used == nil {
		used = diskUsed
	}
	percent, err := used(d.Dir)
	if err != nil {
		return fmt.Errorf("ask how full the disk is: %w", err)
	}
	if percent < limit {
		return nil
	}
	found, room := fmt.Sprintf("is %d %% full", percent), "Free some space"
	if blocks, files, err := diskShares(d.Dir); err == nil && files == percent && blocks < limit {
		found, room = fmt.Sprintf("has used %d %% of its files (`df -i`)", percent), "Remove some files"
	}
	return platform.Explain(nil, "The disk of %s %s, and from %d %% on apron takes no new %s, so that what runs can go on.",
		d.Dir, found, limit, what).
		Try("%s and deploy again: delete services that nobody needs (`apron delete NAME`), or other files on that disk. "+
			"`--disk-limit %s=PERCENT` moves the limit.", room, setting)
}

// diskFaults are what programs below apron say when the disk does not take what they write. Their errors come as text.
var diskFaults = []struct{ text, cause, remedy string }{
	{unix.ENOSPC.Error(), "The disk of %s is full: there is no space left, or no room for more files.",
		"Remove what nobody needs and start the operation again; `df -h` and `df -i` say whether it is space or files."},
	{unix.EDQUOT.Error(), "The disk of %s is full: a quota is used up.",
		"Raise it, or remove what nobody needs, and start the operation again."},
	{unix.EROFS.Error(), "The disk of %s is read-only.",
		"The kernel's log (`dmesg`) says why; once it can be written again, start the operation again."},
	{unix.EIO.Error(), "The disk of %s fails (input/output error).", "The kernel's log (`dmesg`) says more."},
}

// Explain makes an explained error of one that nobody has explained and that is the disk's fault; others come back as they are.
func (d Disk) Explain(err error) error {
	if err == nil || platform.AsExplained(err) != nil {
		return err
	}
	for _, fault := range diskFaults {
		if strings.Contains(err.Error(), fault.text) {
			return platform.Explain(err, fault.cause, d.Dir).Try("%s", fault.remedy).WithEvidence(err.Error())
		}
	}
	return err
}

// diskUsed counts as df(1) does, rounded up, and counts files where the file system has a fixed number of them.
func diskUsed(dir string) (int, error) {
	blocks, files, err := diskShares(dir)
	return max(blocks, files), err
}

func diskShares(dir string) (blocks, files int, err error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return 0, 0, err
	}
	used := stat.Blocks - stat.Bfree
	return share(used, used+stat.Bavail), share(stat.Files-stat.Ffree, stat.Files), nil
}

func share(part, whole uint64) int {
	if whole == 0 {
		return 0
	}
	return int((part*100 + whole - 1) / whole)
}
