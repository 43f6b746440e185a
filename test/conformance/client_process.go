package conformance

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// processClient is a client in another language: a process that reads calls and writes answers, a line each.
type processClient struct {
	name, version string
	process       *exec.Cmd
	input         io.WriteCloser
	answers       chan []byte
	complaint     *bytes.Buffer // read after the process has ended

	calling sync.Mutex // one call at a time
}

// question and answer are the lines. The driver's first line is an answer with its version alone.
type question struct {
	Action string          `json:"action"`
	Input  json.RawMessage `json:"input"`
}

type answer struct {
	Version string          `json:"version"`
	Output  json.RawMessage `json:"output"`
	Error   *struct {
		Code, Message string
		Status        int
	} `json:"error"`
}

// python is Debian's, which has Debian's boto3, whatever else is called python3 on PATH.
const python = "/usr/bin/python3"

func newBoto3(at where, dir string) (Client, error) {
	return startDriver(boto3, at, dir, python, []string{"-I", "drivers/boto3_driver.py"})
}

func newJS(at where, dir string) (Client, error) {
	modules, err := installJS()
	if err != nil {
		return nil, err
	}
	return startDriver(jsSDK, at, dir, nodeIn(modules), []string{filepath.Join(modules, "driver.mjs")})
}

// startDriver starts the program, with an environment that the last ones may change.
func startDriver(name string, at where, dir, program string, arguments []string, environment ...string) (*processClient, error) {
	c := &processClient{name: name, answers: make(chan []byte), complaint: new(bytes.Buffer)}
	c.process = exec.Command(program, arguments...)
	c.process.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LC_ALL=C.UTF-8", "AWS_CONFIG_FILE=/dev/null",
		"AWS_ACCESS_KEY_ID=" + at.keyID, "AWS_SECRET_ACCESS_KEY=" + at.secret, "AWS_DEFAULT_REGION=" + at.region,
		"AWS_REGION=" + at.region, "AWS_EC2_METADATA_DISABLED=true", "APPRUNNER_ENDPOINT=" + at.endpoint,
	}, environment...)
	c.process.Stderr = c.complaint
	var err error
	if c.input, err = c.process.StdinPipe(); err != nil {
		return nil, err
	}
	output, err := c.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.process.Start(); err != nil {
		return nil, err
	}
	go c.read(output)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var first answer
	if err := c.next(ctx, &first); err != nil {
		return nil, errors.Join(err, c.Close(), errors.New(c.complaint.String()))
	}
	c.version = first.Version
	return c, nil
}

// read passes lines on until the process ends.
func (c *processClient) read(output io.Reader) {
	defer close(c.answers)
	lines := bufio.NewReader(output)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		c.answers <- line
	}
}

// next reads the next line.
func (c *processClient) next(ctx context.Context, answer any) error {
	select {
	case line, isOpen := <-c.answers:
		if !isOpen {
			return fmt.Errorf("the driver of %s has ended", c.name)
		}
		return json.Unmarshal(line, answer)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ask writes one line and reads the one that answers it.
func (c *processClient) ask(ctx context.Context, question, answer any) error {
	c.calling.Lock()
	defer c.calling.Unlock()
	line, err := json.Marshal(question)
	if err != nil {
		return fmt.Errorf("encode the call: %w", err)
	}
	if _, err := c.input.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("ask the driver of %s: %w", c.name, err)
	}
	return c.next(ctx, answer)
}

func (c *processClient) Name() string    { return c.name }
func (c *processClient) Version() string { return c.version }

func (c *processClient) Call(ctx context.Context, action string, input json.RawMessage) (json.RawMessage, *APIError) {
	var got answer
	err := c.ask(ctx, question{action, input}, &got)
	switch {
	case err != nil:
		return nil, noAnswer("%v", err)
	case got.Error != nil:
		return nil, &APIError{got.Error.Code, got.Error.Message, got.Error.Status}
	}
	return got.Output, nil
}

// Close ends the process by the end of its input.
func (c *processClient) Close() error {
	c.input.Close()
	for range c.answers { // of calls that were given up
	}
	return c.process.Wait()
}

// installJS returns the folder with the driver, the modules that package-lock.json names and a Node.js. It is outside of
// the checkout, and there is one for each state of the lock and the driver.
var installJS = sync.OnceValues(func() (string, error) {
	files := []string{"package.json", "package-lock.json", "driver.mjs"}
	sum := sha256.New()
	content := map[string][]byte{}
	for _, name := range files {
		read, err := os.ReadFile(filepath.Join("js", name))
		if err != nil {
			return "", err
		}
		content[name] = read
		fmt.Fprintf(sum, "%s %d\n%s", name, len(read), read)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	all := filepath.Join(cache, "apron", "conformance-js")
	dir := filepath.Join(all, hex.EncodeToString(sum.Sum(nil))[:16])
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(all, 0o755); err != nil {
		return "", err
	}
	fresh, err := os.MkdirTemp(all, "new")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(fresh)
	for name, each := range content {
		if err := os.WriteFile(filepath.Join(fresh, name), each, 0o644); err != nil {
			return "", err
		}
	}
	if err := installModules(fresh); err != nil {
		return "", err
	}
	if err := os.Chmod(fresh, 0o755); err != nil {
		return "", err
	}
	if err := os.Rename(fresh, dir); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	return dir, nil
})
