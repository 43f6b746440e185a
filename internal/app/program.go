package app

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// IsRunBy says whether the apron runs what the file program holds now: false after the program was built again with a
// change, or when it is another one. A program that cannot be looked at, as of another user, counts as the same.
func (r Running) IsRunBy(program string) (bool, error) {
	current, err := os.Open(program)
	if err != nil {
		return false, err
	}
	defer current.Close()
	// The kernel keeps a program that runs, also when its file has been replaced.
	running, err := os.Open(fmt.Sprintf("/proc/%d/exe", r.PID))
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer running.Close()
	one, err := current.Stat()
	if err != nil {
		return false, err
	}
	other, err := running.Stat()
	if err != nil {
		return false, err
	}
	if os.SameFile(one, other) {
		return true, nil
	}
	if one.Size() != other.Size() {
		return false, nil
	}
	return haveSameContent(current, running)
}

func haveSameContent(one, other io.Reader) (bool, error) {
	var left, right [64 << 10]byte
	for {
		n, err := io.ReadFull(one, left[:])
		m, otherErr := io.ReadFull(other, right[:])
		if !bytes.Equal(left[:n], right[:m]) {
			return false, nil
		}
		if isEnd(err) && isEnd(otherErr) {
			return true, nil
		}
		if err := errors.Join(err, otherErr); err != nil {
			return false, err
		}
	}
}

func isEnd(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
