package containerd

import (
	"regexp"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/apron-run/apron/internal/compute"
	"github.com/apron-run/apron/internal/platform"
)

// startFailures tell what runc's messages mean. runc has no codes for them, so that its text is all there is.
var startFailures = []struct {
	pattern *regexp.Regexp
	cause   string
}{
	{regexp.MustCompile(`exec: "?([^":]+)"?: (?:executable file not found|stat .*no such file or directory|no such file)`),
		"The application could not be started: the command %s was not found in the image. Check the start command."},
	{regexp.MustCompile(`exec: "?([^":]+)"?: permission denied`),
		"The application could not be started: %s may not be executed. Give it the executable bit (chmod +x) in the repository or image."},
	{regexp.MustCompile(`exec (\S+): no such file or directory`),
		"The application could not be started: %s, or the interpreter it names, was not found in the image. Check the start command."},
	{regexp.MustCompile(`exec (\S+): exec format error`),
		"The application could not be started: %s is no program for linux/amd64. A script needs a first line such as #!/bin/sh."},
	{regexp.MustCompile(`mkdir (?:of )?cwd|chdir to cwd \("?([^")]+)"?\)`),
		"The application could not be started: its working directory %s cannot be entered."},
	{regexp.MustCompile(`unable to find user ([^:]+): no matching entries`),
		"The application could not be started: the image's user %s is not in its /etc/passwd."},
	{regexp.MustCompile(`no (?:command|args) (?:specified|set)|args must not be empty|(process args|Args) must be (?:specified|provided)`),
		"The application could not be started: the image has no command of its own%s. Set a start command."},
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
			return platform.Explain(err, "%s", strings.Replace(failure.cause, "%s", subject, 1))
		}
	}
	if errdefs.IsNotFound(err) && strings.Contains(text, spec.Image) {
		return platform.Explain(err, "The image of the revision is not on this machine any more. Start a new deployment.")
	}
	return err
}
