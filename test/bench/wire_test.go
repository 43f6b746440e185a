package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"golang.org/x/sys/unix"

	"github.com/apron-run/apron/test/apron"
)

// requestTimeout bounds each request of a measurement.
const requestTimeout = 10 * time.Second

// sign returns the bytes of a signed request. They are good for five minutes, however often they are sent.
func sign(b *testing.B, a *apron.Apron, action, body string) []byte {
	b.Helper()
	keys, err := a.Keys()
	if err != nil {
		b.Fatal(err)
	}
	request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, a.Endpoint()+"/", strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-amz-json-1.0")
	request.Header.Set("X-Amz-Target", "AppRunner."+action)
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(b.Context(), keys, request, hex.EncodeToString(sum[:]), "apprunner", a.Region, time.Now()); err != nil {
		b.Fatal(err)
	}
	var wire bytes.Buffer
	if err := request.Write(&wire); err != nil {
		b.Fatal(err)
	}
	return wire.Bytes()
}

// wire is a connection that is kept. It costs the machine less than an http.Client, so that what is measured is apron.
type wire struct {
	conn   net.Conn
	reader *bufio.Reader
	body   []byte
}

func dial(address string) (*wire, error) {
	conn, err := net.DialTimeout("tcp", address, requestTimeout)
	if err != nil {
		return nil, err
	}
	return &wire{conn: conn, reader: bufio.NewReaderSize(conn, 16<<10)}, nil
}

// ask sends a request and returns the answer's body, which is good until the next one. Any status but 200 is an error.
func (w *wire) ask(request []byte) ([]byte, error) {
	if err := w.conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return nil, err
	}
	if _, err := w.conn.Write(request); err != nil {
		return nil, err
	}
	status, err := w.reader.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	isOK, line := bytes.HasPrefix(status, []byte("HTTP/1.1 200 ")), string(status)
	length := 0
	for {
		header, err := w.reader.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		if len(header) == 2 {
			break
		}
		if value, isLength := bytes.CutPrefix(header, []byte("Content-Length: ")); isLength {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return nil, err
			}
		}
	}
	if cap(w.body) < length {
		w.body = make([]byte, length)
	}
	w.body = w.body[:length]
	if _, err := io.ReadFull(w.reader, w.body); err != nil {
		return nil, err
	}
	if !isOK {
		return nil, fmt.Errorf("answered %s%.500s", line, w.body)
	}
	return w.body, nil
}

// together runs ask in so many goroutines, each with a connection, and returns the first error.
func together(a *apron.Apron, connections int, ask func(number int, w *wire) error) error {
	var group sync.WaitGroup
	failed := make(chan error, connections)
	for number := range connections {
		w, err := dial(a.API)
		if err != nil {
			failed <- err
			break
		}
		group.Go(func() {
			defer w.conn.Close()
			if err := ask(number, w); err != nil {
				failed <- err
			}
		})
	}
	group.Wait()
	close(failed)
	return <-failed
}

// throughput asks as fast as answers come, and returns answers per second.
func throughput(a *apron.Apron, connections int, lasts time.Duration, requests [][]byte) (float64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), lasts)
	defer cancel()
	var mu sync.Mutex // guards total
	total := 0
	begun := time.Now()
	err := together(a, connections, func(number int, w *wire) error {
		count := 0
		for ; ctx.Err() == nil; count++ {
			if _, err := w.ask(requests[(number*len(requests)/connections+count)%len(requests)]); err != nil {
				return err
			}
		}
		mu.Lock()
		defer mu.Unlock()
		total += count
		return nil
	})
	return float64(total) / time.Since(begun).Seconds(), err
}

// latencies asks at a rate, whether answers come or not, and returns how long each took from when it was due.
func latencies(a *apron.Apron, connections, rate int, lasts time.Duration, requests [][]byte) ([]time.Duration, error) {
	each := time.Second * time.Duration(connections) / time.Duration(rate)
	count := int(lasts / each)
	all := make([]time.Duration, connections*count)
	begun := time.Now().Add(100 * time.Millisecond)
	err := together(a, connections, func(number int, w *wire) error {
		first := begun.Add(each * time.Duration(number) / time.Duration(connections))
		for i := range count {
			due := first.Add(each * time.Duration(i))
			time.Sleep(time.Until(due))
			if _, err := w.ask(requests[(number*count+i)%len(requests)]); err != nil {
				return err
			}
			all[number*count+i] = time.Since(due)
		}
		return nil
	})
	return all, err
}

// pin keeps apron's server on the first processor and this process off it, until the benchmark ends. On a machine with
// one processor they share it.
func pin(b *testing.B, pid int) {
	b.Helper()
	if runtime.NumCPU() < 2 {
		return
	}
	var before, servers, ours unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		b.Fatal(err)
	}
	ours = before
	for cpu := 0; servers.Count() == 0; cpu++ {
		if before.IsSet(cpu) {
			servers.Set(cpu)
			ours.Clear(cpu)
		}
	}
	b.Cleanup(func() { setAffinity(b, os.Getpid(), &before) })
	setAffinity(b, pid, &servers)
	setAffinity(b, os.Getpid(), &ours)
}

// setAffinity is for all threads that a process has; those to come inherit it.
func setAffinity(b *testing.B, pid int, set *unix.CPUSet) {
	b.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil || len(tasks) == 0 {
		b.Fatalf("process %d has no threads: %v", pid, err)
	}
	for _, task := range tasks {
		thread, err := strconv.Atoi(filepath.Base(task))
		if err != nil {
			b.Fatal(err)
		}
		if err := unix.SchedSetaffinity(thread, set); err != nil && err != unix.ESRCH {
			b.Fatal(err)
		}
	}
}

// processorTime is what a process has used so far, to a hundredth of a second.
func processorTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	// After the program's name in parentheses: state is the first field, utime and stime are the 12th and 13th.
	fields := strings.Fields(string(content[bytes.LastIndexByte(content, ')')+1:]))
	ticks := 0
	for _, field := range fields[11:13] {
		n, err := strconv.Atoi(field)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100 // USER_HZ is 100 on Linux
}
