package source

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Unfinished remembers in a folder what is about to change and who has not been told of it yet, so that a crash in between
// keeps no change a secret.
type Unfinished struct{ Dir string }

type change struct {
	Subject string
	Before  json.RawMessage
}

// Begin remembers a subject, with how it is before the change. end forgets it: once the change was told, or did not come to be.
func (u Unfinished) Begin(subject string, before any) (end func() error, err error) {
	raw, err := json.Marshal(before)
	if err != nil {
		return nil, fmt.Errorf("remember a change: %w", err)
	}
	record, err := json.Marshal(change{subject, raw})
	if err != nil {
		return nil, fmt.Errorf("remember a change: %w", err)
	}
	if err := os.MkdirAll(u.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("remember a change: %w", err)
	}
	file, err := os.CreateTemp(u.Dir, "*.new")
	if err != nil {
		return nil, fmt.Errorf("remember a change: %w", err)
	}
	_, err = file.Write(record)
	path := strings.TrimSuffix(file.Name(), ".new") + ".json"
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("remember a change: %w", errors.Join(err, os.Remove(file.Name())))
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return nil, fmt.Errorf("remember a change: %w", err)
	}
	return func() error { return os.Remove(path) }, nil
}

// Each calls tell with what a crash has left, and forgets it. Call it before the first Begin.
func (u Unfinished) Each(tell func(subject string, before json.RawMessage)) error {
	left, err := filepath.Glob(filepath.Join(u.Dir, "*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range left {
		raw, err := os.ReadFile(path)
		var one change
		// What was not written whole was not followed by a change either.
		if err == nil && strings.HasSuffix(path, ".json") && json.Unmarshal(raw, &one) == nil {
			tell(one.Subject, one.Before)
		}
		errs = append(errs, err, os.Remove(path))
	}
	return errors.Join(errs...)
}
