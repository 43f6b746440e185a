package containerd

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"

	"github.com/apron-run/apron/internal/compute"
	"github.com/apron-run/apron/internal/platform"
)

// startFailures tell what runc's messages mean. runc has no codes for them, so that its text is all there is.
var startFailures = []struct {
	pattern       *regexp.Regexp
	cause, remedy string
}{
	{regexp.MustCompile(`exec: "?([^":]+)"?: (?:executable file not found|stat .*no such file or directory|no such file)`),
		"The application could not be started: the command %s was not found in the image.",
		"Check the start command: CMD of the image, `apron deploy --start`, or StartCommand."},
	{regexp.MustCompile(`exec: "?([^":]+)"?: permission denied`),
		"The application could not be started: %s may not be executed.",
		"Give it the executable bit (chmod +x) in the repository or image."},
	{regexp.MustCompile(`exec (\S+): no such file or directory`),
		"The application could not be started: %s, or the interpreter it names, was not found in the image.",
		"Check the start command: CMD of the image, `apron deploy --start`, or StartCommand."},
	{regexp.MustCompile(`exec (\S+): exec format error`),
		"The application could not be started: %s is no program for linux/amd64.",
		"Build it for linux/amd64; a script needs a first line such as #!/bin/sh."},
	{regexp.MustCompile(`mkdir (?:of )?cwd|chdir to cwd \("?([^")]+)"?\)`),
		"The application could not be started: its working directory %s cannot be entered.",
		"Check WORKDIR in the Dockerfile, and that its USER may enter it."},
	{regexp.MustCompile(`unable to find user ([^:]+): no matching entries`),
		"The application could not be started: the image's user %s is not in its /etc/passwd.",
		"Add the user in the Dockerfile, or name it by its number."},
	{regexp.MustCompile(`no (?:command|args) (?:specified|set)|args must not be empty|(process args|Args) must be (?:specified|provided)`),
		"The application could not be started: the image has no command of its own%s.",
		"Set a start command: `apron deploy --start`, or StartCommand."},
}

// shell is what runs a start command that is more than words.
const shell = "/bin/sh"

func usesShell(spec compute.InstanceSpec) bool {
	return len(spec.Args) == 3 && spec.Args[0] == shell && spec.Args[1] == "-c"
}

// explainStart turns an error of a start into a sentence for people where the user can do something about it.
func explainStart(err error, spec compute.InstanceSpec) error {
	text := err.Error()
	for _, failure := range startFailures {
		if match := failure.pattern.FindStringSubmatch(text); match != nil {
			subject := ""
			if len(match) > 1 {
				subject = match[1]
			}
			explained := platform.Explain(err, "%s", strings.Replace(failure.cause, "%s", subject, 1)).Try("%s", failure.remedy)
			if subject == shell && usesShell(spec) {
				explained = platform.Explain(err, "The application could not be started: its start command needs a shell, and the image has none (%s).", shell).
					Try("Write the command in plain words, without quotes, variables and the like, or take an image with a shell.")
			}
			explained.Event = platform.EventStopped
			return explained
		}
	}
	if errdefs.IsNotFound(err) && strings.Contains(text, spec.Image) {
		return platform.Explain(err, "The image of the revision is not on this machine any more.").
			Try("Start a new deployment.")
	}
	return err
}

// noteAway marks an error that comes of containerd's end or silence as platform.ErrUnavailable. What is explained is not: it
// is about something else, such as a registry.
func noteAway(ctx context.Context, err *error) {
	if *err == nil || ctx.Err() != nil || platform.AsExplained(*err) != nil {
		return
	}
	if errdefs.IsUnavailable(*err) || errdefs.IsUnavailable(errgrpc.ToNative(*err)) || errors.Is(*err, context.DeadlineExceeded) {
		*err = fmt.Errorf("containerd %w: %w", platform.ErrUnavailable, *err)
	}
}
