package containerd

import (
	"context"
	"slices"

	client "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/contrib/seccomp"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/oci"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/apron-run/apron/internal/compute"
)

const (
	// cpuPeriod is the kernel's default CFS period, in microseconds.
	cpuPeriod = 100_000
	// cpuUnit is how many units make one vCPU.
	cpuUnit = 1024
	// maxPids bounds the processes and threads of an instance.
	maxPids = 2048
	// maxFiles bounds the open files of a process in an instance.
	maxFiles = 65536
	// shmKiB is the size of /dev/shm.
	shmKiB = 64 << 10
)

// capabilities is all that an app is allowed of root's powers inside its own namespaces: to listen on ports below 1024,
// and to give up root for another user, with its files, as the entry points of many images do. Everything else is
// dropped.
var capabilities = []string{"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SETGID", "CAP_SETUID"}

// specOpts is the OCI specification of an instance.
func (b *Backend) specOpts(spec compute.InstanceSpec, image client.Image, files files) []oci.SpecOpts {
	options := []oci.SpecOpts{
		oci.WithDefaultSpec(),
		oci.WithImageConfig(image),
	}
	if len(spec.Args) > 0 {
		options = append(options, oci.WithProcessArgs(spec.Args...))
	}
	memory := int64(spec.MemoryMiB) << 20
	return append(options,
		oci.WithEnv(environment(spec.Environment)),
		oci.WithHostname(hostnameOf(spec.ID)),
		oci.WithLinuxNamespace(specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: b.netns(spec.ID)}),
		withCgroupNamespace,
		oci.WithCgroup(b.cgroupOf(spec.ID)),
		oci.WithCPUCFS(int64(spec.CPUUnits)*cpuPeriod/cpuUnit, cpuPeriod),
		oci.WithCPUShares(uint64(spec.CPUUnits)),
		oci.WithMemoryLimit(uint64(memory)),
		oci.WithMemorySwap(memory), // memory and swap together: no swap
		oci.WithPidsLimit(maxPids),
		oci.WithRlimit(&specs.POSIXRlimit{Type: "RLIMIT_NOFILE", Soft: openFiles(), Hard: openFiles()}),
		oci.WithRlimit(&specs.POSIXRlimit{Type: "RLIMIT_CORE"}),
		oci.WithCapabilities(capabilities),
		oci.WithNoNewPrivileges,
		oci.WithDevShmSize(shmKiB),
		oci.WithoutMounts("/run"),
		oci.WithMounts([]specs.Mount{
			// Read only, so that a language's runtime sees its limits (GOMAXPROCS, the JVM's heap) and can change none.
			{Type: "cgroup", Source: "cgroup", Destination: cgroupRoot, Options: []string{"ro", "nosuid", "noexec", "nodev", "relatime"}},
			bindReadOnly("/etc/resolv.conf", files.resolvConf()),
			bindReadOnly("/etc/hosts", files.hosts()),
			bindReadOnly("/etc/hostname", files.hostname()),
		}),
		withReadOnlyCgroupRoot,
		withAllPorts,
		seccomp.WithDefaultProfile(), // last: it depends on the capabilities
	)
}

func bindReadOnly(destination, source string) specs.Mount {
	return specs.Mount{Type: "bind", Source: source, Destination: destination, Options: []string{"rbind", "ro", "nosuid", "nodev", "noexec"}}
}

// environment returns the variables in a fixed order.
func environment(variables map[string]string) []string {
	pairs := make([]string, 0, len(variables))
	for name, value := range variables {
		pairs = append(pairs, name+"="+value)
	}
	slices.Sort(pairs)
	return pairs
}

// openFiles is maxFiles, or less where apron itself has less: only CAP_SYS_RESOURCE could raise a limit, and root may lack
// it.
func openFiles() uint64 {
	var own unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &own); err != nil {
		return maxFiles
	}
	return min(maxFiles, own.Max)
}

// withReadOnlyCgroupRoot makes the folder that holds the groups read only too: in cgroup v1 it is a tmpfs that would take
// files beyond the limit of writable storage.
func withReadOnlyCgroupRoot(_ context.Context, _ oci.Client, _ *containers.Container, spec *oci.Spec) error {
	spec.Linux.ReadonlyPaths = append(spec.Linux.ReadonlyPaths, cgroupRoot)
	return nil
}

// withAllPorts lets an image's own user, who is not root, listen on ports below 1024 as well, as under Docker. They are ports
// of the instance's network alone.
func withAllPorts(_ context.Context, _ oci.Client, _ *containers.Container, spec *oci.Spec) error {
	if spec.Linux.Sysctl == nil {
		spec.Linux.Sysctl = map[string]string{}
	}
	spec.Linux.Sysctl["net.ipv4.ip_unprivileged_port_start"] = "0"
	return nil
}

// withCgroupNamespace hides the host's cgroup tree where the kernel has cgroup v2 alone, as the runtime does for others.
func withCgroupNamespace(_ context.Context, _ oci.Client, _ *containers.Container, spec *oci.Spec) error {
	if isUnifiedCgroup() {
		spec.Linux.Namespaces = append(spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.CgroupNamespace})
	}
	return nil
}
