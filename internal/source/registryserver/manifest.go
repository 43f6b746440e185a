package registryserver

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
)

// maxManifestBytes is what the distribution project takes of a manifest.
const maxManifestBytes = 4 << 20

// checkManifest says what keeps raw from being the manifest of an image or of an index, where the distribution project
// would call the failure its own.
func checkManifest(raw []byte) error {
	if len(raw) > maxManifestBytes {
		return fmt.Errorf("a manifest may have at most %d bytes", maxManifestBytes)
	}
	type part struct{ Digest digest.Digest }
	var manifest struct {
		SchemaVersion int
		Config        *part
		Layers        []part
		Manifests     []part
	}
	if err := json.Unmarshal(raw, &manifest); err != nil {
		return fmt.Errorf("the manifest cannot be read: %w", err)
	}
	if manifest.SchemaVersion != 2 {
		return errors.New("the manifest's schemaVersion is not 2")
	}
	parts := append(manifest.Layers, manifest.Manifests...)
	if manifest.Config != nil {
		parts = append(parts, *manifest.Config)
	} else if manifest.Manifests == nil {
		return errors.New("the manifest names neither a config nor manifests")
	}
	for _, each := range parts {
		if err := each.Digest.Validate(); err != nil {
			return fmt.Errorf("the manifest names the digest %q: %w", each.Digest, err)
		}
	}
	return nil
}
