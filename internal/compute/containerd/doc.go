// Package containerd runs instances on this machine with a containerd of apron's own, started as a child daemon with its
// own root, state and socket. It implements compute.Backend and compute.Images.
//
// Everything about an instance is kept where it cannot get lost: as labels of its container, in its cgroup, and in a
// folder DATA/instances/ID with its files. A new Backend over the same data directory finds it all again.
//
// What an instance consists of, in the order in which it is made and in the reverse of which it is removed:
//
//	folder            resolv.conf, hosts, hostname
//	disk              a sparse ext4 file of StorageBytes, mounted through a loop device: the writable layer
//	network           a namespace with an address on apron's bridge
//	container         containerd's record: image, snapshot (read only), OCI spec, labels
//	task              shim, runc, the app's process in a control group; its output goes to apron-log
//
// Remove is idempotent and takes what is there, so that a start that was cut short leaves nothing.
package containerd
