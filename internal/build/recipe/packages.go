package recipe

import (
	"archive/tar"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
)

// packageList is where Debian notes which packages are installed, in which versions.
const packageList = "var/lib/dpkg/status"

// haveSamePackages says whether two layers are installations of the same packages in the same versions. What some of them
// make when they are installed is never the same twice: Java's store of certificates has the time, and its archive of classes
// is a picture of memory.
func haveSamePackages(known, made string) bool {
	before, after := installed(known), installed(made)
	return before != "" && before == after
}

// installed is a digest of the packages that a layer's file has, or empty where it has none or cannot be read.
func installed(layer string) digest.Digest {
	file, err := os.Open(layer)
	if err != nil {
		return ""
	}
	defer file.Close()
	stream, err := zstd.NewReader(file, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return ""
	}
	defer stream.Close()
	for archive := tar.NewReader(stream); ; {
		header, err := archive.Next()
		if err != nil {
			return ""
		}
		if header.Name != packageList {
			continue
		}
		digester := digest.Canonical.Digester()
		if _, err := io.Copy(digester.Hash(), archive); err != nil {
			return ""
		}
		return digester.Digest()
	}
}
