package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/apron-run/apron/cmd/apron/internal/client"
	"github.com/apron-run/apron/cmd/apron/internal/view"
)

func newRevisions(s *shell) *cobra.Command {
	return &cobra.Command{
		Use: "revisions NAME", Short: "List what was deployed and can be gone back to",
		Example: "  apron revisions my-app\n  apron rollback my-app 3",
		Args:    args(cobra.ExactArgs(1), "the name or ARN of a service"),
		RunE: func(command *cobra.Command, given []string) error {
			connected, arn, err := s.connectTo(command.Context(), given[0])
			if err != nil {
				return err
			}
			revisions, err := connected.Revisions(command.Context(), arn)
			if err != nil {
				return err
			}
			return s.printRevisions(revisions)
		},
	}
}

func (s *shell) printRevisions(revisions []client.Revision) error {
	if s.isJSON() {
		return view.JSON(s.out, append([]client.Revision{}, revisions...))
	}
	var rows [][]string
	for _, revision := range revisions {
		state := ""
		if revision.IsActive {
			state = "active"
		}
		of := revision.ImageIdentifier
		if revision.Commit != "" {
			of = fmt.Sprintf("commit %.7s", revision.Commit)
		}
		digest := strings.TrimPrefix(revision.ImageDigest, "sha256:")
		rows = append(rows, []string{
			strconv.Itoa(revision.Number), state, view.Ago(revision.CreatedAt.Time, time.Now()), of, digest[:min(len(digest), 12)],
		})
	}
	return view.Table(s.out, []string{"REVISION", "STATE", "CREATED", "OF", "IMAGE"}, rows)
}

func newRollback(s *shell) *cobra.Command {
	var doNotWait bool
	command := &cobra.Command{
		Use: "rollback NAME [REVISION]", Short: "Go back to an earlier revision, without a build or a pull",
		Long: "rollback deploys a revision again: its image, with the configuration that it had. Without a number it is the one\n" +
			"before the active one. `apron revisions NAME` lists them.",
		Example: "  apron rollback my-app\n  apron rollback my-app 3",
		Args:    args(cobra.RangeArgs(1, 2), "the name or ARN of a service, and perhaps a revision's number"),
		RunE: func(command *cobra.Command, given []string) error {
			number := 0
			if len(given) == 2 {
				var err error
				if number, err = strconv.Atoi(given[1]); err != nil || number < 1 {
					return &usageError{fmt.Errorf("revision %q: want its number", given[1]), "See `apron revisions " + given[0] + "`."}
				}
			}
			return s.act(command.Context(), action{
				start: func(ctx context.Context, connected *client.Client, arn string) (string, error) {
					return connected.RollbackService(ctx, arn, number)
				},
				what: "going back with", done: "runs the earlier revision",
			}, given[0], doNotWait)
		},
	}
	command.Flags().BoolVar(&doNotWait, "no-wait", false, "return when the operation has begun")
	return command
}
