// Package recipe makes the layers and images of runtimes on this machine, out of Debian packages, packages of the npm
// registry and Go toolchains, or pulls images from registries, and keeps them.
//
// The cache is one folder for the whole machine, shared by every apron and by tests:
//
//	blobs/sha256/HEX    layers, image configurations and manifests, by their own digest
//	layers/HASH.json    which blobs the recipe, or the image's reference, with this hash became; its time is that of its last use
//	layers/HASH.lock    held while the recipe is being made or the image pulled
//	leases/NAME         the blobs that a build or a pull uses, held for as long as it does
//	collect.lock        held while blobs are removed; shared while somebody finds blobs, or names new ones
//	tmp/                unfinished files, each held by who writes it
//
// The layout of blobs/ is that of an OCI layout, and Content serves it as a containerd content store, so that BuildKit
// reads base images from here over its session, without a registry and without a copy in every data folder.
//
// A file is renamed into place only when it is complete and on disk, and what was pulled has its digest. Whoever finds a
// recipe's lock held waits for it. Nothing is ever changed in place: a refresh names other blobs, and Collect removes those
// that nobody names or holds. All locks are the kernel's, which a crash releases.
package recipe
