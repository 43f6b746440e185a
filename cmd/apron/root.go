package main

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// shell is what the verbs share: where to print, and the flags that all of them have.
type shell struct {
	in       io.Reader
	out, err io.Writer
	settings settings
	// output is "text" or "json".
	output string
}

// isJSON says whether a program reads the output.
func (s *shell) isJSON() bool { return s.output == "json" }

func newRoot(s *shell) *cobra.Command {
	root := &cobra.Command{
		Use:   "apron",
		Short: "App Runner on your own machines",
		Long: "apron builds a source repository or takes an image, runs it on this machine and answers at a URL.\n" +
			"It speaks the App Runner API, so every AWS tool works with it: eval \"$(apron env)\".",
		Example: "  apron serve --detach        start apron in the background\n" +
			"  apron deploy .              bring this folder live\n" +
			"  apron logs my-app -f        follow what it prints",
		SilenceErrors: true, SilenceUsage: true,
		Args: cobra.ArbitraryArgs,
		RunE: func(command *cobra.Command, args []string) error {
			if len(args) == 0 {
				return command.Help()
			}
			advice := "See `apron --help`."
			if close := command.SuggestionsFor(args[0]); len(close) > 0 {
				advice = "Did you mean `apron " + strings.Join(close, "` or `apron ") + "`?"
			}
			return &usageError{fmt.Errorf("there is no command %q", args[0]), advice}
		},
		SuggestionsMinimumDistance: 2,
	}
	root.SetFlagErrorFunc(func(command *cobra.Command, err error) error {
		return &usageError{explainFlag(err), "See `" + command.CommandPath() + " --help`."}
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	root.PersistentFlags().StringVarP(&s.output, "output", "o", "text", "how to print: text or json")
	root.PersistentPreRunE = func(command *cobra.Command, _ []string) error {
		if s.output != "text" && s.output != "json" {
			return &usageError{fmt.Errorf("--output %q: want text or json", s.output), ""}
		}
		return nil
	}
	root.AddGroup(&cobra.Group{ID: groupServices, Title: "Services:"}, &cobra.Group{ID: groupMachine, Title: "This machine:"})
	for _, command := range []*cobra.Command{
		newDeploy(s), newRemote(s), newServices(s), newService(s), newOperations(s), newOperation(s), newLogs(s), newOpen(s),
		newPause(s), newResume(s), newDelete(s), newCancel(s), newRevisions(s), newRollback(s), newConnection(s), newSecret(s), newWebhook(s),
	} {
		command.GroupID = groupServices
		for _, verb := range append(command.Commands(), command) {
			s.settings.bindData(verb.Flags())
		}
		root.AddCommand(command)
	}
	validate := newValidate(s) // the only one of its group that needs no apron
	validate.GroupID = groupServices
	root.AddCommand(validate)
	for _, command := range []*cobra.Command{newServe(s), newDown(s), newEnv(s), newCA(s), newDoctor(s), newNetwork(s), newRuntimes(s), newVersion(s)} {
		command.GroupID = groupMachine
		root.AddCommand(command)
	}
	root.AddCommand(newProxy(), newGitCredential(s))
	return root
}

// explainFlag says of a flag that takes a number what is wanted, instead of what the parser met.
func explainFlag(err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err
	}
	flag := invalid.GetFlag()
	switch flag.Value.Type() {
	case "int", "intSlice":
		want := "a number"
		if flag.Name == "port" {
			want = "a port, which is a number from 1 to 65535"
		}
		return fmt.Errorf("--%s %s: want %s", flag.Name, invalid.GetValue(), want)
	}
	return err
}

const (
	groupServices = "services"
	groupMachine  = "machine"
)

// args makes cobra's complaint about arguments, or about flags that exclude each other, a usageError.
func args(check cobra.PositionalArgs, what string) cobra.PositionalArgs {
	return func(command *cobra.Command, given []string) error {
		if err := command.ValidateFlagGroups(); err != nil {
			return &usageError{err, "See `" + command.CommandPath() + " --help`."}
		}
		if check(command, given) == nil {
			return nil
		}
		return &usageError{fmt.Errorf("%s: want %s, got %d arguments", command.CommandPath(), what, len(given)),
			"See `" + command.CommandPath() + " --help`."}
	}
}

// version is set by the build.
var version = "devel"

func newVersion(s *shell) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: args(cobra.NoArgs, "no arguments"),
		Example: "  apron version",
		RunE: func(*cobra.Command, []string) error {
			text := version
			if info, found := debug.ReadBuildInfo(); found {
				text += " " + info.GoVersion
			}
			_, err := fmt.Fprintln(s.out, "apron", text)
			return err
		},
	}
}
