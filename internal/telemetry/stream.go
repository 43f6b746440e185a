package telemetry

import (
	"bufio"
	"bytes"
	"errors"
	"hash/fnv"
	"io"
	"os"
	"slices"
	"strconv"
)

// position is a place in a stream: a file, known by a fingerprint of its first line because its name changes when it is
// rotated, and an offset in it. The zero position is the beginning of the oldest file.
type position struct {
	File   string `json:"f,omitempty"`
	Offset int64  `json:"o,omitempty"`
}

// placed is a line with the position after it.
type placed struct {
	Line
	after position
}

// stream is the files of one log: the current one and its rotated parts.
type stream struct{ path string }

// maxRotated is how many rotated parts are looked for.
const maxRotated = 9

// paths returns where the files may be, newest first.
func (s stream) paths() []string {
	paths := []string{s.path}
	for i := 1; i <= maxRotated; i++ {
		paths = append(paths, rotated(s.path, i))
	}
	return paths
}

// opened is an open file of a stream with its fingerprint. Once open, a rotation no longer matters to a reader.
type opened struct {
	file        *os.File
	fingerprint string
	size        int64
}

// open opens the stream's files that have a complete first line, and returns them oldest first. It opens the newest
// first: a rotation meanwhile then only shows a file twice, which the fingerprint tells, and hides none.
func (s stream) open() (files []opened, err error) {
	seen := map[string]bool{}
	for _, path := range s.paths() {
		file, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			closeAll(files)
			return nil, err
		}
		fingerprint, size, err := identify(file)
		if err != nil {
			file.Close()
			closeAll(files)
			return nil, err
		}
		if fingerprint == "" || seen[fingerprint] {
			file.Close()
			continue
		}
		seen[fingerprint] = true
		files = append(files, opened{file, fingerprint, size})
	}
	slices.Reverse(files)
	return files, nil
}

// openAt opens the files and returns the place of the one that from names. It looks again when that one is missing, as
// it is for a moment while the files are renamed; a file that stays missing was removed, and the oldest takes its place.
func (s stream) openAt(from position) (files []opened, first int, offset int64, err error) {
	for range 3 {
		closeAll(files)
		if files, err = s.open(); err != nil || from.File == "" {
			return files, 0, 0, err
		}
		for i, f := range files {
			if f.fingerprint == from.File {
				return files, i, from.Offset, nil
			}
		}
	}
	return files, 0, 0, nil
}

func closeAll(files []opened) {
	for _, f := range files {
		f.file.Close()
	}
}

// identify fingerprints the first line, which begins with a time in nanoseconds; "" while there is no complete one.
func identify(file *os.File) (fingerprint string, size int64, err error) {
	info, err := file.Stat()
	if err != nil {
		return "", 0, err
	}
	head := make([]byte, 128)
	n, err := file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", 0, err
	}
	head = head[:n]
	if end := bytes.IndexByte(head, '\n'); end >= 0 {
		head = head[:end]
	} else if n < cap(head) {
		return "", info.Size(), nil
	}
	sum := fnv.New64a()
	sum.Write(head)
	return strconv.FormatUint(sum.Sum64(), 36), info.Size(), nil
}

// read returns up to limit complete lines from a position on. A position in a file that is gone is the beginning.
func (s stream) read(from position, limit int) ([]placed, error) {
	files, first, offset, err := s.openAt(from)
	if err != nil {
		return nil, err
	}
	defer closeAll(files)
	var lines []placed
	for _, f := range files[first:] {
		if lines, err = f.read(lines, offset, limit); err != nil {
			return lines, err
		}
		offset = 0
	}
	return lines, nil
}

// read appends the complete lines from offset on until there are limit.
func (f opened) read(lines []placed, offset int64, limit int) ([]placed, error) {
	if offset < 0 || offset > f.size {
		offset = 0
	}
	reader := bufio.NewReaderSize(io.NewSectionReader(f.file, offset, f.size-offset), maxLineBytes)
	for len(lines) < limit {
		raw, err := reader.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			if errors.Is(err, io.EOF) {
				return lines, nil
			}
			return lines, err
		}
		offset += int64(len(raw))
		lines = append(lines, placed{parseLine(string(bytes.TrimSuffix(raw, []byte("\n")))), position{f.fingerprint, offset}})
	}
	return lines, nil
}

// tail returns the last n complete lines.
func (s stream) tail(n int) ([]placed, error) {
	files, err := s.open()
	if err != nil {
		return nil, err
	}
	defer closeAll(files)
	var lines []placed
	for i := len(files) - 1; i >= 0 && len(lines) < n; i-- {
		offset, err := files[i].seekBack(n - len(lines))
		if err != nil {
			return lines, err
		}
		older, err := files[i].read(nil, offset, n-len(lines))
		if err != nil {
			return lines, err
		}
		lines = append(older, lines...)
	}
	return lines, nil
}

// seekBack returns the offset of the n-th last complete line.
func (f opened) seekBack(n int) (int64, error) {
	const chunk = 64 << 10
	newlines := 0
	for end := f.size; end > 0; {
		start := max(0, end-chunk)
		block := make([]byte, end-start)
		if _, err := f.file.ReadAt(block, start); err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		for i := len(block) - 1; i >= 0; i-- {
			if block[i] != '\n' {
				continue
			}
			// The newline before the n-th last line is the one that ends the line before it.
			if newlines++; newlines == n+1 {
				return start + int64(i) + 1, nil
			}
		}
		end = start
	}
	return 0, nil
}
