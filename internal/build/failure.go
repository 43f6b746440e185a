package build

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	gatewaypb "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/util/grpcerrors"
	"google.golang.org/grpc/codes"

	"github.com/apron-run/apron/internal/platform"
)

// explain says why a build failed. what is the build in words, for failures that belong to no step.
func (p *progress) explain(ctx context.Context, err error, what string) error {
	if ctx.Err() != nil {
		if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			explained := platform.Explain(context.Cause(ctx), "the build took longer than it may and was stopped")
			if s := p.running(); s != nil {
				explained = platform.Explain(context.Cause(ctx), "the build took longer than it may and was stopped during %s", s.name)
				explained = explained.WithEvidence(s.last...)
			}
			return explained.Try("deploy again; `apron serve --deadline build=DURATION` gives builds more time")
		}
		return context.Cause(ctx)
	}
	if platform.AsExplained(err) != nil {
		return err
	}
	if denied := explainDenied(err); denied != nil {
		return denied
	}
	s := p.failed
	if s == nil && grpcerrors.Code(err) == codes.Unavailable {
		return fmt.Errorf("BuildKit %w: %w", platform.ErrUnavailable, err)
	}
	var exit *gatewaypb.ExitError
	hasExitCode := errors.As(err, &exit) && exit.ExitCode != gatewaypb.UnknownExitStatus
	if !hasExitCode && p.hasContainerdEnded() {
		return fmt.Errorf("containerd %w: %w", platform.ErrUnavailable, err)
	}
	if s == nil {
		return platform.Explain(err, "%s failed%s: %s", what, dockerfileLine(err), p.hidden(err.Error())).
			Try("mend what it complains about, and deploy again")
	}
	how, remedy := "failed", mendOutput
	if exit != nil {
		how, remedy = exitText(exit.ExitCode)
	}
	if exit == nil { // no command has said why, as when COPY finds no file
		s.recent = append(s.recent, p.hidden(err.Error()))
	}
	if cause, known := hintOf(s.recent); cause != "" {
		code, _, _ := strings.Cut(how, ":")
		how, remedy = code+": "+cause, known
	}
	if p.startedTooManyProcesses() {
		how, remedy = "failed because the build had too many processes at a time", "let it start fewer, such as with make -j4"
	} else if p.usedTooMuchMemory() {
		how = fmt.Sprintf("failed because the build used more than its %d MB of memory", p.memory>>20)
		remedy = lessMemory
	}
	explained := platform.Explain(err, "%s %s", p.subject(s, err), how).Try("%s", remedy).WithEvidence(s.last...)
	if exit == nil { // no command has said why, as when COPY finds no file
		explained = explained.WithEvidence(p.hidden(err.Error()))
	}
	return explained
}

// killNotice is how long the notice that a process was killed for want of memory may be on its way.
const killNotice = 300 * time.Millisecond

// usedTooMuchMemory says whether a step lost a process for want of memory while this build ran. Of builds that run at the
// same time it cannot say which one it was; that both of them then fail is rare.
func (p *progress) usedTooMuchMemory() bool {
	if p.kills == nil {
		return false
	}
	select {
	case <-p.kills:
		return true
	case <-time.After(killNotice):
		return false
	}
}

// startedTooManyProcesses says whether a step was ended for that while this build ran.
func (p *progress) startedTooManyProcesses() bool {
	select {
	case <-p.processKills:
		return true
	default: // it is told before the step is ended
		return false
	}
}

// subject names the failed step as the user knows it.
func (p *progress) subject(s *step, err error) string {
	if phase, ok := phaseOf(s.name); ok {
		return fmt.Sprintf("the %s commands", phase.key())
	}
	return fmt.Sprintf("the step %q of the Dockerfile%s", s.name, dockerfileLine(err))
}

// dockerfileLine says at which line of the Dockerfile a build failed, as far as BuildKit knows.
func dockerfileLine(err error) string {
	sources := errdefs.Sources(err)
	if len(sources) == 0 || len(sources[0].Ranges) == 0 {
		return ""
	}
	return fmt.Sprintf(" (line %d)", sources[0].Ranges[0].Start.Line)
}

// phaseOf returns the phase that a vertex belongs to.
func phaseOf(name string) (Phase, bool) {
	for _, phase := range []Phase{PhasePreBuild, PhaseBuild, PhasePreRun, PhasePostBuild} {
		if strings.HasPrefix(name, phasePrefix(phase)+" ") {
			return phase, true
		}
	}
	return "", false
}

const (
	mendOutput = "mend what its last lines complain about, and deploy again"
	lessMemory = "let it use less, such as with fewer jobs at a time, or give builds more with `apron serve --build-memory`"
)

// exitText says what an exit code means and what to try.
func exitText(code uint32) (how, remedy string) {
	switch code {
	case gatewaypb.UnknownExitStatus:
		return "failed without an exit code", mendOutput
	case 127:
		return "failed with exit code 127: a command was not found", "correct its name, or install it in an earlier command"
	case 126:
		return "failed with exit code 126: a file may not be executed", "give it the executable bit (git update-index --chmod=+x FILE)"
	case 137:
		return "failed with exit code 137: the process was killed, most likely for want of memory", lessMemory
	case 139:
		return "failed with exit code 139: the process crashed (segmentation fault)", mendOutput
	}
	return fmt.Sprintf("failed with exit code %d", code), mendOutput
}

// running returns a step that has not ended, or nil.
func (p *progress) running() *step {
	for _, s := range p.steps {
		if !s.isDone {
			return s
		}
	}
	return nil
}
