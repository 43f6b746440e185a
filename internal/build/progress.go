package build

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/opencontainers/go-digest"
)

const (
	// evidenceLines is how many lines of a failed step's output go into the explanation.
	evidenceLines = 20
	// maxLogLine bounds one line of the log; the rest of a longer one becomes further lines.
	maxLogLine = 16 << 10
	// maxRecentLine bounds what of a line a failure's cause is looked for in.
	maxRecentLine = 1000
)

// progress turns BuildKit's status stream into lines of the log and remembers how each step ended. One goroutine feeds
// it; its results are read when the stream has ended.
type progress struct {
	log io.Writer
	// prefixOf returns the prefix of a step's lines, or false for a step that nobody needs to see.
	prefixOf func(name string) (string, bool)
	// showsSteps says whether a step's name is a line of its own.
	showsSteps bool
	// hide takes the secrets of the machine and of the build out of what is shown; nil when there are none.
	hide *strings.Replacer

	steps  map[digest.Digest]*step
	failed *step

	// hasContainerdEnded says whether containerd has ended since the build began: its steps run there.
	hasContainerdEnded func() bool

	// memory is what each step may use, in bytes; kills tells of steps that used more.
	memory int64
	kills  <-chan struct{}
	// processKills tells of steps that started too many processes.
	processKills <-chan struct{}
	// close ends both.
	close context.CancelFunc
}

// step is one vertex that is shown.
type step struct {
	name, prefix string
	partial      []byte
	last         []string
	// recent are more of its last lines, in which the cause of a failure is looked for.
	recent []string
	// fetched is how much of each layer that the step fetches is there; told is when that was last told.
	fetched map[string]client.VertexStatus
	told    time.Time
	isDone  bool
}

// newProgress returns a progress that must be closed.
func (b *Builder) newProgress(ctx context.Context, log io.Writer, prefixOf func(string) (string, bool)) *progress {
	ctx, cancel := context.WithCancel(ctx)
	p := &progress{
		log: log, hide: hiding(b.host().Secrets()), prefixOf: prefixOf, steps: map[digest.Digest]*step{}, memory: b.config.MemoryBytes, close: cancel,
		hasContainerdEnded: watchSocket(b.config.ContainerdSocket),
	}
	if p.memory > 0 && b.config.MemoryKills != nil {
		p.kills = b.config.MemoryKills(ctx)
	}
	if b.config.ProcessKills != nil {
		p.processKills = b.config.ProcessKills(ctx)
	}
	return p
}

// follow reads the stream until it is closed.
func (p *progress) follow(stream <-chan *client.SolveStatus) {
	for status := range stream {
		for _, vertex := range status.Vertexes {
			p.vertex(vertex)
		}
		for _, part := range status.Statuses {
			p.fetch(part)
		}
		for _, output := range status.Logs {
			if s := p.steps[output.Vertex]; s != nil {
				p.output(s, output.Data)
			}
		}
		for _, vertex := range status.Vertexes {
			p.finish(vertex)
		}
	}
	for _, s := range p.steps {
		p.flush(s)
	}
}

func (p *progress) vertex(vertex *client.Vertex) {
	if p.steps[vertex.Digest] != nil {
		return
	}
	prefix, ok := p.prefixOf(vertex.Name)
	if !ok || vertex.Started == nil {
		return
	}
	s := &step{name: p.hidden(vertex.Name), prefix: prefix} // a Dockerfile's step is named with its variables' values
	p.steps[vertex.Digest] = s
	if p.showsSteps {
		p.line(s, s.name)
	}
}

func (p *progress) finish(vertex *client.Vertex) {
	s := p.steps[vertex.Digest]
	if s == nil || s.isDone || vertex.Completed == nil {
		return
	}
	s.isDone = true
	p.flush(s)
	if vertex.Error != "" && p.failed == nil && !strings.Contains(vertex.Error, "context canceled") {
		p.failed = s
	}
	if vertex.Cached {
		p.line(s, "unchanged, the earlier result is used: "+strings.TrimPrefix(s.name, s.prefix+" "))
	}
}

// fetchEvery is how often it is told how far a step has come that fetches an image.
const fetchEvery = 2 * time.Second

// fetch tells how much of an image is there. Only a layer that is fetched has a digest for a name, and a size.
func (p *progress) fetch(part *client.VertexStatus) {
	s := p.steps[part.Vertex]
	if s == nil || part.Total == 0 || !strings.HasPrefix(part.ID, "sha256:") {
		return
	}
	if s.fetched == nil {
		s.fetched, s.told = map[string]client.VertexStatus{}, part.Timestamp
	}
	s.fetched[part.ID] = *part
	if part.Timestamp.Sub(s.told) < fetchEvery {
		return
	}
	s.told = part.Timestamp
	var current, total int64
	for _, layer := range s.fetched {
		current, total = current+layer.Current, total+layer.Total
	}
	p.line(s, fmt.Sprintf("fetched %d of %d MB: %s", current>>20, total>>20, s.name))
}

func (p *progress) output(s *step, data []byte) {
	s.partial = append(s.partial, data...)
	for {
		line, rest, found := bytes.Cut(s.partial, []byte{'\n'})
		if !found && len(s.partial) < maxLogLine {
			return
		}
		if len(line) > maxLogLine {
			line, rest = line[:maxLogLine], s.partial[maxLogLine:]
		}
		p.keep(s, line)
		s.partial = append([]byte(nil), rest...)
	}
}

func (p *progress) flush(s *step) {
	if len(s.partial) > 0 {
		p.keep(s, s.partial)
		s.partial = nil
	}
}

// keep writes a line of a step's output and remembers it as evidence. Of a progress bar that draws over itself only the
// last state is kept.
func (p *progress) keep(s *step, raw []byte) {
	raw = bytes.TrimRight(raw, "\r")
	if i := bytes.LastIndexByte(raw, '\r'); i >= 0 {
		raw = raw[i+1:]
	}
	line := p.hidden(strings.ToValidUTF8(string(raw), "\uFFFD"))
	s.last = append(s.last, line)
	if len(s.last) > evidenceLines {
		s.last = s.last[1:]
	}
	s.recent = append(s.recent, line[:min(len(line), maxRecentLine)])
	if len(s.recent) > hintLines {
		s.recent = s.recent[1:]
	}
	p.line(s, line)
}

func (p *progress) hidden(text string) string {
	if p.hide == nil {
		return text
	}
	return p.hide.Replace(text)
}

func (p *progress) line(s *step, text string) { fmt.Fprintf(p.log, "%s %s\n", s.prefix, text) }
