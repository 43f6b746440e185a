package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/smithy-go"
	"github.com/spf13/cobra"

	"github.com/apron-run/apron/cmd/apron/internal/client"
	"github.com/apron-run/apron/cmd/apron/internal/view"
)

func newRuntimes(s *shell) *cobra.Command {
	command := &cobra.Command{
		Use: "runtimes", Short: "List the runtimes that code is built for, and prepare them",
		Long: "runtimes lists the runtimes that apprunner.yaml can name, with what this machine has of each. A recipe is made here\n" +
			"of packages, an image is pulled from a registry. Both happen by themselves at the first build that needs them;\n" +
			"build and pull do it ahead, and with --refresh again, for what has been mended since.",
		Example: "  apron runtimes\n  apron runtimes build python311\n  apron runtimes pull php81 --refresh",
		Args: func(_ *cobra.Command, given []string) error {
			if len(given) > 0 {
				return &usageError{fmt.Errorf("there is no command %q", "runtimes "+given[0]), "See `apron runtimes --help`."}
			}
			return nil
		},
		RunE: func(command *cobra.Command, _ []string) error { return s.listRuntimes(command.Context()) },
	}
	command.AddCommand(
		newPrepare(s, "build", "Make the images of runtimes that are recipes"),
		newPrepare(s, "pull", "Pull the images of runtimes that are references"),
	)
	s.settings.bindData(command.PersistentFlags())
	return command
}

func (s *shell) listRuntimes(ctx context.Context) error {
	connected, err := s.connect()
	if err != nil {
		return err
	}
	runtimes, err := connected.Runtimes(ctx)
	if err != nil {
		return err
	}
	if s.isJSON() {
		return view.JSON(s.out, append([]client.Runtime{}, runtimes...))
	}
	var rows [][]string
	for _, each := range runtimes {
		rows = append(rows, []string{
			each.Name, each.APIName, each.Version, runtimeKind(each), stateOf(each), sizeOf(each), age(each.MadeAt), age(each.CheckedAt),
			shortDigest(each.Digest), view.Clean(noteOn(each)),
		})
	}
	return view.Table(s.out, []string{"NAME", "API NAME", "VERSION", "KIND", "STATE", "SIZE", "MADE", "CHECKED", "DIGEST", "NOTE"}, rows)
}

func runtimeKind(runtime client.Runtime) string {
	if runtime.IsImage {
		return "image"
	}
	return "recipe"
}

// staleAfter is how old a runtime is when its state says so: Debian mends something every few days.
const staleAfter = 30 * 24 * time.Hour

func stateOf(runtime client.Runtime) string {
	if runtime.State == "READY" && runtime.CheckedAt != nil && time.Since(runtime.CheckedAt.Time) > staleAfter {
		return "ready, old"
	}
	return strings.ReplaceAll(strings.ToLower(runtime.State), "_", " ")
}

func sizeOf(runtime client.Runtime) string {
	if runtime.SizeMB == 0 {
		return ""
	}
	return fmt.Sprintf("%d MB", runtime.SizeMB)
}

func age(at *client.Time) string {
	if at == nil {
		return ""
	}
	return view.Ago(at.Time, time.Now())
}

func shortDigest(digest string) string {
	digest = strings.TrimPrefix(digest, "sha256:")
	return digest[:min(len(digest), 12)]
}

// noteOn says what there is to do about a runtime.
func noteOn(runtime client.Runtime) string {
	switch count := len(runtime.OutdatedServices); {
	case runtime.Failure != "":
		return runtime.Failure
	case count == 1:
		return "1 service runs on an older one: " + runtime.OutdatedServices[0]
	case count > 1:
		const most = 3
		names := strings.Join(runtime.OutdatedServices[:min(count, most)], ", ")
		if count > most {
			names += ", …"
		}
		return fmt.Sprintf("%d services run on an older one: %s", count, names)
	}
	return ""
}

// newPrepare is build or pull. Each does what the runtime is for, whichever of the two it is called.
func newPrepare(s *shell, verb, short string) *cobra.Command {
	var isRefresh bool
	command := &cobra.Command{
		Use: verb + " NAME...", Short: short,
		Long: verb + " prepares runtimes ahead of the first build that needs them, and shows how far it is. Ctrl-C stops it.\n\n" +
			"With --refresh it looks for something newer than what is there: new versions of Debian's packages, or the image that\n" +
			"a tag means now. When there is nothing new, nothing changes. Services go on as they are until they are deployed again.",
		Example: "  apron runtimes " + verb + " " + map[string]string{"build": "python311 nodejs22", "pull": "php81"}[verb] +
			"\n  apron runtimes " + verb + " --refresh " + map[string]string{"build": "python311", "pull": "php81"}[verb],
		Args: args(cobra.MinimumNArgs(1), "names of runtimes"),
		RunE: func(command *cobra.Command, given []string) error {
			connected, err := s.connect()
			if err != nil {
				return err
			}
			known, err := connected.Runtimes(command.Context())
			if err != nil {
				return err
			}
			for _, name := range given {
				if err := s.prepare(command.Context(), connected, known, name, verb, isRefresh); err != nil {
					return err
				}
			}
			return nil
		},
	}
	command.Flags().BoolVar(&isRefresh, "refresh", false, "look for something newer than what is there")
	return command
}

// prepare prepares one runtime and prints what it has become.
func (s *shell) prepare(ctx context.Context, connected *client.Client, known []client.Runtime, name, verb string, isRefresh bool) error {
	runtime, isKnown := runtimeNamed(known, name)
	if !isKnown {
		return advise("`apron runtimes` lists those that are there.", "there is no runtime %s", name)
	}
	if runtime.IsImage != (verb == "pull") && !s.isJSON() {
		fmt.Fprintf(s.err, "%s is %s, so apron %ss it.\n", name, map[bool]string{true: "an image", false: "a recipe"}[runtime.IsImage],
			map[bool]string{true: "pull", false: "make"}[runtime.IsImage])
	}
	begun, err := connected.PrepareRuntime(ctx, name, isRefresh)
	if err != nil {
		return err
	}
	ended, err := s.followPreparation(ctx, connected, begun)
	if err != nil {
		return err
	}
	if why := ended.Failure; why != nil {
		return advise(why.Remedy+evidence(why), "%s", view.Clean(why.Cause))
	}
	after, err := connected.Runtimes(ctx)
	if err != nil {
		return err
	}
	now, _ := runtimeNamed(after, name)
	if s.isJSON() {
		return view.JSON(s.out, now)
	}
	result := "ready"
	switch {
	case ended.IsUnchanged && isRefresh:
		result = "unchanged"
	case ended.IsUnchanged:
		result = "ready already"
	}
	_, err = fmt.Fprintf(s.out, "%s is %s: %s, digest %s.\n", name, result, sizeOf(now), shortDigest(now.Digest))
	if note := noteOn(now); err == nil && note != "" {
		_, err = fmt.Fprintf(s.out, "%s. Deploy to bring the newer one there.\n", view.Clean(note))
	}
	return err
}

func runtimeNamed(runtimes []client.Runtime, name string) (client.Runtime, bool) {
	for _, each := range runtimes {
		if each.Name == name {
			return each, true
		}
	}
	return client.Runtime{}, false
}

func evidence(why *client.Failure) string {
	text := ""
	for _, line := range why.Evidence {
		text += "\n  " + view.Clean(line)
	}
	return text
}

// cancelTimeout bounds telling apron that nobody waits any more; it finds out by itself a minute later.
const cancelTimeout = 5 * time.Second

// followPreparation shows the lines of a preparation until it is over. When ctx ends it is stopped, unless another had begun
// it.
func (s *shell) followPreparation(ctx context.Context, connected *client.Client, begun client.Preparation) (client.Preparation, error) {
	if begun.IsJoined {
		fmt.Fprintf(s.err, "%s is being prepared already; waiting for that.\n", begun.Name)
	}
	answered, next := time.Now(), 0
	for {
		seen, err := connected.Preparation(ctx, begun.ID, next)
		var refused smithy.APIError
		switch {
		case err == nil:
			answered, next = time.Now(), seen.NextLine
			for _, line := range seen.Lines {
				fmt.Fprintln(s.err, "  │ "+view.Clean(line))
			}
			if seen.State != "RUNNING" {
				return seen, nil
			}
		case ctx.Err() != nil:
			return seen, stopPreparation(ctx, connected, begun)
		case errors.As(err, &refused) && strings.HasPrefix(refused.ErrorCode(), "ResourceNotFound"):
			return seen, advise("Run the command again.", "apron was started again meanwhile, and the preparation ended")
		case !isLost(err) || time.Since(answered) > lostTimeout:
			return seen, fmt.Errorf("watch the preparation: %w", err)
		}
		select {
		case <-ctx.Done():
			return seen, stopPreparation(ctx, connected, begun)
		case <-time.After(followEvery):
		}
	}
}

func stopPreparation(ctx context.Context, connected *client.Client, begun client.Preparation) error {
	if begun.IsJoined {
		return advise("", "interrupted; the preparation of %s goes on for who had begun it", begun.Name)
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelTimeout)
	defer cancel()
	if err := connected.CancelPreparation(stopping, begun.ID); err != nil {
		return advise("It ends by itself within a minute.", "interrupted; the preparation of %s could not be stopped: %w", begun.Name, err)
	}
	return advise("What was fetched whole is kept for the next time.", "interrupted; the preparation of %s is stopped", begun.Name)
}
