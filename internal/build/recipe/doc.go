// Package recipe makes the layers and images of runtimes on this machine, out of Debian packages, packages of the npm
// registry and Go toolchains, and keeps them.
//
// The cache is one folder for the whole machine, shared by every apron and by tests:
//
//	blobs/sha256/HEX    layers (zstd), image configurations and manifests, by their own digest
//	layers/HASH.json    which blob the recipe with this hash became
//	layers/HASH.lock    held while the recipe is being made
//	tmp/                unfinished files
//
// The layout of blobs/ is that of an OCI layout, and Content serves it as a containerd content store, so that BuildKit
// reads base images from here over its session, without a registry and without a copy in every data folder.
//
// A file is renamed into place only when it is complete and on disk. Whoever finds a recipe's lock held waits for it.
// Nothing is ever changed in place, so a reader needs no lock.
package recipe
