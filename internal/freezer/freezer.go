// Package freezer stops all processes of a control group and lets them go on, by the group's file: freezer.state of cgroup v1, or
// cgroup.freeze of v2. A frozen process keeps its memory and its sockets, gets no processor, and notices nothing but the time.
//
// The kernel takes both orders at any time and in any number; the last one holds. A frozen process of cgroup v1 does not die of SIGKILL
// before it is thawed.
package freezer

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
)

// Files freezes and thaws by a group's file. Each method fails with fs.ErrNotExist when the group is gone.
type Files struct{}

// words are what the two kinds of files hold.
type words struct{ frozen, thawed string }

func wordsOf(file string) (words, error) {
	switch filepath.Base(file) {
	case "freezer.state":
		return words{"FROZEN", "THAWED"}, nil
	case "cgroup.freeze":
		return words{"1", "0"}, nil
	}
	return words{}, fmt.Errorf("%s is no file by which a control group is frozen", file)
}

// Freeze stops the group's processes. It does not wait for one that is in the kernel in this moment.
func (Files) Freeze(file string) error {
	known, err := wordsOf(file)
	if err != nil {
		return err
	}
	return write(file, known.frozen)
}

// Thaw lets the group's processes go on.
func (Files) Thaw(file string) error {
	known, err := wordsOf(file)
	if err != nil {
		return err
	}
	return write(file, known.thawed)
}

// IsFrozen says whether the group's processes were stopped, though one may be about to stop only.
func (Files) IsFrozen(file string) (bool, error) {
	known, err := wordsOf(file)
	if err != nil {
		return false, err
	}
	content, err := os.ReadFile(file)
	return err == nil && string(bytes.TrimSpace(content)) != known.thawed, err
}

// write does not create the file: the kernel makes a group's files.
func write(file, word string) error {
	opened, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = opened.WriteString(word)
	if closeErr := opened.Close(); err == nil {
		err = closeErr
	}
	return err
}
