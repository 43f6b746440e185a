package build

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/apron-run/apron/internal/build/catalogue"
	"github.com/apron-run/apron/internal/platform"
)

const (
	// prepareTimeout bounds one preparation: packages and images come from far away.
	prepareTimeout = 30 * time.Minute
	// abandonedAfter is how long nobody may ask for a preparation before it is stopped: who waited for it is gone.
	abandonedAfter = time.Minute
	// maxPreparationLines bounds what is kept of what a preparation prints; the oldest lines go.
	maxPreparationLines = 5000
	maxLineBytes        = 4096
)

var (
	errPrepareTooLong = errors.New("the preparation took longer than 30 minutes")
	errAbandoned      = errors.New("nobody waits for the preparation any more")
	errCancelled      = errors.New("the preparation was cancelled")
	errStopping       = errors.New("apron stops")
)

// preparations are those that run, and the last one of each runtime.
type preparations struct {
	mu       sync.Mutex // guards the fields below
	newest   map[string]*preparation
	failures map[string]string
	isClosed bool
	running  sync.WaitGroup
}

// preparation is one of them.
type preparation struct {
	cancel context.CancelCauseFunc

	mu sync.Mutex // guards the fields below
	platform.Preparation
	partial []byte
	// first is the number of the oldest line that is kept.
	first   int
	lines   []string
	askedAt time.Time
}

// note remembers how the last attempt to have a runtime's images ended.
func (p *preparations) note(runtime string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		delete(p.failures, runtime)
		return
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, errCancelled) || errors.Is(err, errAbandoned) || errors.Is(err, errStopping) {
		return
	}
	if p.failures == nil {
		p.failures = map[string]string{}
	}
	p.failures[runtime] = err.Error()
	if explained := platform.AsExplained(err); explained != nil {
		p.failures[runtime] = explained.Cause
	}
}

func (p *preparations) failure(runtime string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failures[runtime]
}

// PrepareRuntime begins to make or pull a runtime's images; a refresh does so even if they are there. It goes on for as
// long as Preparation is asked for it. One that runs already is joined. platform.ErrNoRuntime without such a runtime,
// platform.ErrBeingPrepared when one runs that is no refresh and this one is to be.
func (b *Builder) PrepareRuntime(name string, isRefresh bool) (platform.Preparation, error) {
	runtime, known := b.runtimes.ByName(name)
	if !known {
		return platform.Preparation{}, platform.ErrNoRuntime
	}
	p := &b.preparations
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isClosed {
		return platform.Preparation{}, errStopping
	}
	if earlier := p.newest[name]; earlier != nil {
		if found := earlier.look(0); !found.IsOver {
			if isRefresh && !found.IsRefresh {
				return platform.Preparation{}, platform.ErrBeingPrepared
			}
			found.IsJoined = true
			return found, nil
		}
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	begun := &preparation{cancel: cancel, askedAt: time.Now()}
	begun.ID, begun.Runtime, begun.IsRefresh = string(platform.NewOperationID()), name, isRefresh
	if p.newest == nil {
		p.newest = map[string]*preparation{}
	}
	p.newest[name] = begun
	p.running.Go(func() {
		defer cancel(nil)
		b.runPreparation(ctx, runtime, begun)
	})
	return begun.look(0), nil
}

// Preparation returns how far one is, with its lines from a number on. platform.ErrNoPreparation when there is none, also after
// apron was started again.
func (b *Builder) Preparation(id string, from int) (platform.Preparation, error) {
	found := b.preparations.find(id)
	if found == nil {
		return platform.Preparation{}, platform.ErrNoPreparation
	}
	return found.look(from), nil
}

// CancelPreparation asks for the end of one; of one that is over it is done already.
func (b *Builder) CancelPreparation(id string) error {
	found := b.preparations.find(id)
	if found == nil {
		return platform.ErrNoPreparation
	}
	found.cancel(errCancelled)
	return nil
}

func (p *preparations) find(id string) *preparation {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, each := range p.newest {
		if each.ID == id {
			return each
		}
	}
	return nil
}

// RunPreparations stops those that nobody asks for, and at the end of ctx all of them.
func (b *Builder) RunPreparations(ctx context.Context) error {
	ticker := time.NewTicker(abandonedAfter / 10)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			b.preparations.stop(errStopping, func(*preparation) bool { return true })
			b.preparations.running.Wait()
			return nil
		case <-ticker.C:
			b.preparations.stop(errAbandoned, (*preparation).isAbandoned)
		}
	}
}

func (p *preparations) stop(cause error, isMeant func(*preparation) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.isClosed = p.isClosed || errors.Is(cause, errStopping)
	for _, each := range p.newest {
		if isMeant(each) {
			each.cancel(cause)
		}
	}
}

func (p *preparation) isAbandoned() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Since(p.askedAt) > abandonedAfter
}

func (b *Builder) runPreparation(ctx context.Context, runtime catalogue.Runtime, p *preparation) {
	ctx, cancel := context.WithTimeoutCause(ctx, prepareTimeout, errPrepareTooLong)
	defer cancel()
	before, err := b.recipes.Status(b.runtimes, runtime)
	if err == nil && b.config.CacheRoom != nil {
		err = b.config.CacheRoom()
	}
	isUnchanged := false
	if err == nil {
		prepare := b.recipes.Images
		if p.IsRefresh {
			prepare = b.recipes.Refresh
		}
		images, failure := prepare(ctx, b.runtimes, runtime, p)
		images.Release()
		isUnchanged, err = images.Version == before.Version, failure
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	b.preparations.note(runtime.Name, err)
	p.end(isUnchanged, err)
}

// end notes how it went.
func (p *preparation) end(isUnchanged bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.IsOver, p.IsUnchanged = true, isUnchanged
	if err == nil {
		return
	}
	if p.Failure = platform.AsExplained(err); p.Failure == nil {
		p.Failure = platform.Explain(err, "the runtime %s could not be prepared: %v", p.Runtime, err).Try("try it again")
	}
}

// Write takes what is printed.
func (p *preparation) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.partial = append(p.partial, text...)
	for {
		line, rest, found := bytes.Cut(p.partial, []byte{'\n'})
		if !found && len(p.partial) < maxLineBytes {
			return len(text), nil
		}
		p.lines = append(p.lines, string(line[:min(len(line), maxLineBytes)]))
		if extra := len(p.lines) - maxPreparationLines; extra > 0 {
			p.lines, p.first = p.lines[extra:], p.first+extra
		}
		p.partial = append([]byte(nil), rest...)
	}
}

// look returns it with the lines from a number on, and notes that somebody asked.
func (p *preparation) look(from int) platform.Preparation {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.askedAt = time.Now()
	seen := p.Preparation
	at := min(max(from-p.first, 0), len(p.lines))
	seen.Lines = append([]string(nil), p.lines[at:]...)
	seen.Next = p.first + len(p.lines)
	return seen
}
