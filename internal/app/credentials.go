package app

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/source"
)

// CredentialsFile is the name of the key pair's file in the data directory. It is in the AWS credentials file format, so
// that AWS_SHARED_CREDENTIALS_FILE may point to it.
const CredentialsFile = "credentials"

const (
	keyIDField  = "aws_access_key_id"
	secretField = "aws_secret_access_key"
)

// Credentials reads the key pair of the data directory. fs.ErrNotExist before the first start of apron.
func Credentials(dataDir string) (source.KeyPair, error) {
	path := filepath.Join(dataDir, CredentialsFile)
	file, err := os.Open(path)
	if err != nil {
		return source.KeyPair{}, err
	}
	defer file.Close()
	var keys source.KeyPair
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), "=")
		switch strings.TrimSpace(name) {
		case keyIDField:
			keys.ID = strings.TrimSpace(value)
		case secretField:
			keys.Secret = strings.TrimSpace(value)
		}
	}
	if keys.ID == "" || keys.Secret == "" {
		return source.KeyPair{}, fmt.Errorf("%s holds no %s and %s: remove the file, and the next start makes a new pair", path, keyIDField, secretField)
	}
	return keys, nil
}

// ensureCredentials reads the key pair, and makes one at the first start.
func ensureCredentials(dataDir string) (source.KeyPair, error) {
	keys, err := Credentials(dataDir)
	if !errors.Is(err, fs.ErrNotExist) {
		return keys, err
	}
	keys = source.KeyPair{ID: "AKIA" + rand.Text()[:16], Secret: newSecret()}
	text := fmt.Sprintf("[default]\n%s = %s\n%s = %s\n", keyIDField, keys.ID, secretField, keys.Secret)
	if err := writeFile(filepath.Join(dataDir, CredentialsFile), []byte(text)); err != nil {
		return source.KeyPair{}, fmt.Errorf("write the key pair: %w", err)
	}
	return keys, nil
}

// newSecret returns 40 characters, the length of an AWS secret access key, of 240 random bits.
func newSecret() string {
	var raw [30]byte
	rand.Read(raw[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// ensureKey reads a random key of 32 bytes from the data directory, and makes it at the first start. A file of another
// length is never replaced: what was sealed with its key would be lost.
func ensureKey(path string) ([]byte, error) {
	key, err := os.ReadFile(path)
	switch {
	case err == nil && len(key) == 32:
		return key, nil
	case err == nil:
		return nil, platform.Explain(nil, "%s holds %d bytes, and a key has 32: put it back from a backup, or remove it and the next start makes a new one", path, len(key))
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	key = make([]byte, 32)
	rand.Read(key) // never fails (crypto/rand)
	return key, writeFile(path, key)
}

// writeFile writes a file that only root can read, whole or not at all.
func writeFile(path string, content []byte) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	if _, err := file.Write(content); err != nil {
		return errors.Join(err, file.Close())
	}
	if err := file.Sync(); err != nil {
		return errors.Join(err, file.Close())
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
