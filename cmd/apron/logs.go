package main

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"

	"github.com/apron-run/apron/cmd/apron/internal/client"
	"github.com/apron-run/apron/cmd/apron/internal/view"
)

// logFlags say which log, and how much of it.
type logFlags struct {
	isFollowing, isBuild, isEvents, isAccess bool
	deployment, instance                     string
	number                                   int
}

func newLogs(s *shell) *cobra.Command {
	var flags logFlags
	command := &cobra.Command{
		Use: "logs NAME", Short: "Show what a service prints, or the log of a deployment",
		Long: "logs shows the output of all instances of a service, oldest first. With --build or --deployment it shows the\n" +
			"log of a deployment, with --events what happened to the service, with --access the requests to it.",
		Example: "  apron logs my-app -f\n  apron logs my-app --build\n  apron logs my-app --deployment 3f2a…\n  apron logs my-app --access -f\n  apron logs my-app -n 1000 --output json",
		Args:    args(cobra.ExactArgs(1), "the name or ARN of a service"),
		RunE: func(command *cobra.Command, given []string) error {
			return s.logs(command.Context(), given[0], flags)
		},
	}
	command.Flags().BoolVarP(&flags.isFollowing, "follow", "f", false, "go on showing new lines")
	command.Flags().BoolVar(&flags.isBuild, "build", false, "the log of the newest deployment")
	command.Flags().StringVar(&flags.deployment, "deployment", "", "the log of the operation with this id")
	command.Flags().BoolVar(&flags.isEvents, "events", false, "what happened to the service")
	command.Flags().BoolVar(&flags.isAccess, "access", false, "the requests to the service; all that is known of each with --output json")
	command.Flags().StringVar(&flags.instance, "instance", "", "the output of the instance with this id")
	command.Flags().IntVarP(&flags.number, "number", "n", 100, "how many of the last lines; 0 for all (a deployment's log is shown from its beginning)")
	command.MarkFlagsMutuallyExclusive("build", "deployment", "events", "access", "instance")
	return command
}

func (s *shell) logs(ctx context.Context, name string, flags logFlags) error {
	if flags.number < 0 || flags.number > maxLogLines {
		return &usageError{fmt.Errorf("--number %d: want 0 to %d", flags.number, maxLogLines), ""}
	}
	connected, arn, err := s.connectTo(ctx, name)
	if err != nil {
		return err
	}
	switch {
	case flags.deployment != "":
		operation, err := describe(ctx, connected, name, arn, flags.deployment)
		if err != nil {
			return err
		}
		flags.deployment = operation.ID
	case flags.instance != "" && !instancePattern.MatchString(flags.instance):
		return advise("`apron service "+name+"` lists those that run.", "there is no instance %s of %s", flags.instance, name)
	case flags.isBuild:
		if flags.deployment, err = newestDeployment(ctx, connected, name, arn); err != nil {
			return err
		}
	}
	reader := &logReader{client: connected, arn: arn, stream: streamOf(flags), limit: flags.number, print: s.linePrinter()}
	if flags.deployment != "" || flags.number == 0 {
		reader.token, reader.limit = "start", logPage
	}
	if flags.isFollowing {
		return reader.follow(ctx, flags.deployment)
	}
	if err := reader.endNow(ctx); err != nil {
		return err
	}
	count, err := reader.readAll(ctx)
	if err == nil && count == 0 && !s.isJSON() {
		fmt.Fprintln(s.err, "There is nothing in this log.")
	}
	return err
}

// instancePattern is the form of an instance's id. The log of one that has ended stays for a while.
var instancePattern = regexp.MustCompile(`^[0-9a-f]{32}$`)

// maxLogLines is the most that one request may ask for.
const maxLogLines = 10_000

func streamOf(flags logFlags) string {
	switch {
	case flags.deployment != "":
		return "deployment/" + flags.deployment
	case flags.instance != "":
		return "instance/" + flags.instance
	case flags.isEvents:
		return "events"
	case flags.isAccess:
		return "access"
	}
	return "application"
}

// newestDeployment returns the newest operation that has a log.
func newestDeployment(ctx context.Context, connected *client.Client, name, arn string) (string, error) {
	operations, err := connected.Operations(ctx, arn, 20)
	if err != nil {
		return "", err
	}
	for _, operation := range operations {
		switch operation.Type {
		case "CREATE_SERVICE", "START_DEPLOYMENT", "UPDATE_SERVICE":
			return aws.ToString(operation.Id), nil
		}
	}
	return "", advise("See `apron operations "+name+"`.", "%s was not deployed of late", name)
}

// linePrinter prints a line for a person, its time first, or as one JSON object.
func (s *shell) linePrinter() func(client.LogLine) error {
	if s.isJSON() {
		encoder := json.NewEncoder(s.out)
		encoder.SetEscapeHTML(false)
		return func(line client.LogLine) error {
			if line.Stream == "access" && json.Valid([]byte(line.Message)) {
				return encoder.Encode(json.RawMessage(line.Message))
			}
			return encoder.Encode(line)
		}
	}
	return func(line client.LogLine) error {
		stamp := line.Timestamp.Local().Format("01-02 15:04:05.000")
		if line.Timestamp.Unix() <= 0 {
			stamp = strings.Repeat(" ", len("01-02 15:04:05.000"))
		}
		text := line.Message
		if line.Stream == "access" {
			text = accessText(text)
		}
		_, err := fmt.Fprintf(s.out, "%s  %s\n", stamp, view.Clean(text))
		return err
	}
}

// logReader reads one stream from a token on.
type logReader struct {
	client             *client.Client
	arn, stream, token string
	limit              int
	// end is the time of the last line to read; zero for as long as there are lines.
	end   time.Time
	print func(client.LogLine) error
}

// endNow bounds what is read from the beginning to what is there now: an app may print faster than its log is read.
func (r *logReader) endNow(ctx context.Context) error {
	if r.token == "" {
		return nil // the last lines are one request
	}
	lines, _, err := r.client.ReadLogs(ctx, r.arn, r.stream, "", 1)
	if err == nil && len(lines) > 0 {
		r.end = lines[len(lines)-1].Timestamp.Time
	}
	return err
}

// readAll prints what there is. From the beginning that may take several requests, of the last lines only one.
func (r *logReader) readAll(ctx context.Context) (count int, err error) {
	for {
		isTail := r.token == ""
		lines, next, err := r.client.ReadLogs(ctx, r.arn, r.stream, r.token, r.limit)
		if err != nil {
			return count, err
		}
		for _, line := range lines {
			if err := r.print(line); err != nil {
				return count, err
			}
		}
		count += len(lines)
		r.token = next
		isPastEnd := len(lines) > 0 && !r.end.IsZero() && lines[len(lines)-1].Timestamp.After(r.end)
		if isTail || isPastEnd || len(lines) < r.limit {
			return count, nil
		}
	}
}

const followEvery = 150 * time.Millisecond

// follow prints new lines until ctx ends, which is no error, or until the deployment whose log it is has ended. An apron
// that does not answer for a while, because it is restarted, is waited for.
func (r *logReader) follow(ctx context.Context, deployment string) error {
	answered := time.Now()
	for {
		isOver := false
		if deployment != "" {
			operation, err := r.client.DescribeOperation(ctx, r.arn, deployment)
			isOver = err == nil && operation.IsOver()
		}
		_, err := r.readAll(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil && isOver:
			return nil
		case err == nil:
			answered = time.Now()
			r.limit = max(r.limit, logPage) // the tail is printed; what comes now comes in pages
		case !isLost(err) || time.Since(answered) > lostTimeout:
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followEvery):
		}
	}
}
