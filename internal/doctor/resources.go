package doctor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// programs are what apron calls, with the distribution's package that has them.
var programs = []struct{ name, packageName, purpose string }{
	{"git", "git", "fetches source code"},
	{"iptables", "iptables", "keeps instances apart"},
	{"mmdebstrap", "mmdebstrap", "assembles the base images of runtimes"},
	{"mkfs.ext4", "e2fsprogs", "makes the bounded storage of instances"},
}

func checkPrograms(_ context.Context, m *Machine) Result {
	var missing, packages []string
	for _, program := range programs {
		if _, err := m.LookPath(program.name); err != nil {
			missing = append(missing, fmt.Sprintf("%s (%s)", program.name, program.purpose))
			packages = append(packages, program.packageName)
		}
	}
	if len(missing) > 0 {
		return fail("Run `apt-get install "+strings.Join(packages, " ")+"`.", "Not installed: %s.", strings.Join(missing, ", "))
	}
	return ok("git, iptables, mmdebstrap and mkfs.ext4 are installed.")
}

// daemons are what make builds beside apron.
var daemons = []string{
	"apron-log", "containerd", "containerd-shim-runc-v2", "runc", "buildkitd",
	"cni/bridge", "cni/loopback", "cni/host-local",
}

func checkDaemons(_ context.Context, m *Machine) Result {
	var missing []string
	for _, name := range daemons {
		info, err := os.Stat(filepath.Join(m.BinDir, name))
		if err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fail("Run `make build`, or name their folder with --bin.", "Not in %s: %s.", m.BinDir, strings.Join(missing, ", "))
	}
	return ok("containerd, runc, buildkitd and the network plugins are in %s.", m.BinDir)
}

func checkDataDir(_ context.Context, m *Machine) Result {
	dir := nearest(m.DataDir)
	if info, err := os.Stat(m.DataDir); err == nil && !info.IsDir() {
		return fail("Move it away, or choose another folder with --data.", "%s is not a folder.", m.DataDir)
	}
	if err := m.WriteProbe(dir); err != nil {
		return fail("Make it writable, or choose another folder with --data.", "Nothing can be written in %s: %v.", dir, err)
	}
	if dir != m.DataDir {
		return ok("%s can be made.", m.DataDir)
	}
	return ok("%s can be written.", m.DataDir)
}

func checkOverlay(_ context.Context, m *Machine) Result {
	dir := nearest(m.DataDir)
	if err := m.MountOverlay(dir); err != nil {
		return fail("Run `modprobe overlay` as root, and keep the data directory on a disk (ext4, xfs) rather than inside a container.",
			"No overlay can be mounted in %s: %v.", dir, err)
	}
	return ok("Overlays can be mounted in %s.", dir)
}

const (
	minFreeBytes        = 5 << 30
	warnUsedShare       = 80
	minFreeFiles        = 50_000
	minMemory           = 1 << 30
	minFreeMemory       = 512 << 20
	gigabyte            = 1 << 30
	bytesPerKiB         = 1024
	percent             = 100
	oldestPlausibleYear = 2026
)

func checkDisk(_ context.Context, m *Machine) Result {
	result := ok("Enough is free.")
	for i, dir := range []string{m.DataDir, m.CacheDir} {
		flag := []string{"--data", "--cache"}[i]
		if dir == "" {
			continue
		}
		found := checkSpace(m, nearest(dir), flag)
		if i == 0 || found.State == StateFail || found.State == StateWarn && result.State == StateOK {
			result = found
		}
	}
	return result
}

func checkSpace(m *Machine, dir, flag string) Result {
	usage, err := m.Usage(dir)
	if err != nil || usage.TotalBytes == 0 {
		return warn("Look at `df "+dir+"`.", "How full the disk of %s is cannot be told.", dir)
	}
	remedy := "Free some space, or put the folder on another disk with " + flag + "."
	used := percent - usage.FreeBytes*percent/usage.TotalBytes
	free := fmt.Sprintf("%.1f GB", float64(usage.FreeBytes)/gigabyte)
	switch {
	case usage.FreeBytes < minFreeBytes:
		return fail(remedy, "Only %s are free at %s; images and builds need at least 5 GB.", free, dir)
	case usage.TotalFiles > 0 && usage.FreeFiles < minFreeFiles:
		return fail(remedy, "Only %d more files can be made at %s; images have tens of thousands.", usage.FreeFiles, dir)
	case used >= warnUsedShare:
		return warn(remedy, "The disk of %s is %d %% full (%s free).", dir, used, free)
	}
	return ok("%s are free at %s.", free, dir)
}

func checkMemory(_ context.Context, m *Machine) Result {
	text, err := m.read("/proc/meminfo")
	total, totalErr := kibibytes(field(text, "MemTotal:"))
	available, availableErr := kibibytes(field(text, "MemAvailable:"))
	if err != nil || totalErr != nil || availableErr != nil {
		return warn("Look at /proc/meminfo.", "How much memory there is cannot be told.")
	}
	free := fmt.Sprintf("%.1f of %.1f GB", float64(available)/gigabyte, float64(total)/gigabyte)
	switch {
	case total < minMemory:
		return fail("Use a machine with at least 1 GB of memory.", "The machine has only %.1f GB of memory.", float64(total)/gigabyte)
	case available < minFreeMemory:
		return warn("Stop something else, or use a larger machine.", "Little memory is available: %s.", free)
	}
	return ok("%s of memory are available.", free)
}

func kibibytes(text string) (uint64, error) {
	n, err := strconv.ParseUint(strings.TrimSuffix(text, " kB"), 10, 64)
	return n * bytesPerKiB, err
}

func checkClock(_ context.Context, m *Machine) Result {
	now := m.Now()
	if now.Year() < oldestPlausibleYear || now.Year() > oldestPlausibleYear+50 {
		return fail("Set the clock, for example with `apt-get install chrony`.",
			"The clock says %s; signed requests and certificates need the right time.", now.UTC().Format(time.DateTime))
	}
	return ok("The clock says %s UTC.", now.UTC().Format(time.DateTime))
}
