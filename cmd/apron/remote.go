package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/apron-run/apron/cmd/apron/internal/client"
	"github.com/apron-run/apron/cmd/apron/internal/push"
	"github.com/apron-run/apron/cmd/apron/internal/view"
)

// remoteName is what the remote is called in a user's repository.
const remoteName = "apron"

func newRemote(s *shell) *cobra.Command {
	return &cobra.Command{
		Use: "remote [NAME]", Short: "Let git push deploy: add apron as a remote of this Git repository",
		Long: "remote adds the remote `apron` to the Git repository of this folder, or points it here: apron's own Git server,\n" +
			"with the repository of the service NAME (default the folder's name). Git then asks this program for the key pair,\n" +
			"each time, so that it is kept nowhere else. A push shows the build and the deployment as they happen.",
		Example: "  apron remote && git push apron main\n  apron remote shop",
		Args:    args(cobra.MaximumNArgs(1), "at most the name of a service"),
		RunE: func(command *cobra.Command, given []string) error {
			return s.remote(command.Context(), append(given, "")[0])
		},
	}
}

func (s *shell) remote(ctx context.Context, name string) error {
	top, err := userGit(ctx, "rev-parse", "--show-toplevel")
	if errors.Is(err, exec.ErrNotFound) {
		return push.ErrNoGit
	}
	if err != nil {
		return advise("Make one with `git init`, or deploy the folder as it is: apron deploy", "this folder is in no Git repository: %w", err)
	}
	if name == "" {
		name = serviceName(filepath.Base(top))
	}
	if !namePattern.MatchString(name) {
		return &usageError{fmt.Errorf("%q is no service name", name), "Names have 4 to 40 letters, digits, - and _, and begin with a letter or digit."}
	}
	connected, err := s.connect()
	if err != nil {
		return err
	}
	address := repositoryURL(connected.Endpoint(), name)
	if err := s.setRemote(ctx, connected.Endpoint(), address); err != nil {
		return err
	}
	if s.isJSON() {
		return view.JSON(s.out, map[string]string{"Remote": remoteName, "RepositoryUrl": address})
	}
	fmt.Fprintf(s.out, "The remote %s is %s\n\nNext:\n  %s   sends what you have committed, and deploys it\n", remoteName, address, pushCommand(ctx, connected))
	if _, err := connected.ARN(ctx, name); errors.Is(err, client.ErrNoService) {
		fmt.Fprintf(s.out, "  apron deploy --name %s   once, after the first push: creates the service\n", name)
	} else if err != nil {
		return err
	}
	return nil
}

// setRemote writes the remote and where its key pair comes from into the repository's own configuration.
func (s *shell) setRemote(ctx context.Context, endpoint, address string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	helper := "!" + quote(program) + " git-credential"
	if s.settings.namesData() {
		config, err := s.settings.resolve()
		if err != nil {
			return err
		}
		helper += " --data " + quote(config.DataDir)
	}
	verb := "add"
	if _, err := userGit(ctx, "remote", "get-url", remoteName); err == nil {
		verb = "set-url"
	}
	key := "credential." + endpoint + ".helper"
	settings := [][]string{
		{"remote", verb, remoteName, address},
		{"config", "--replace-all", key, ""}, // no other helper is asked, nor told to store what it hears
		{"config", "--add", key, helper},
	}
	if push.IsLoopback(endpoint) {
		settings = append(settings, []string{"config", "--replace-all", "http." + endpoint + ".proxy", ""})
	}
	for _, arguments := range settings {
		if _, err := userGit(ctx, arguments...); err != nil {
			return fmt.Errorf("set up the remote: %w", err)
		}
	}
	return nil
}

// pushCommand is what deploys the branch that is checked out. What `apron deploy` has sent is no part of its history: such
// a branch is only written over by force.
func pushCommand(ctx context.Context, connected *client.Client) string {
	command, refs := "git push "+remoteName, branch
	if current, err := userGit(ctx, "branch", "--show-current"); err == nil && current != branch && current != "" {
		refs = current + ":" + branch
	}
	user, password := connected.Credentials()
	header := push.Request{User: user, Password: password}.Authorization()
	head, err := userGitWith(ctx, []string{"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=http.extraHeader", "GIT_CONFIG_VALUE_0=" + header},
		"ls-remote", remoteName, "refs/heads/"+branch)
	if commit, _, isThere := strings.Cut(head, "\t"); err == nil && isThere {
		if _, err := userGit(ctx, "merge-base", "--is-ancestor", commit, "HEAD"); err != nil {
			command = "git push --force " + remoteName
		}
	}
	return command + " " + refs
}

// userGit runs git where the user is, with the user's settings, and returns what it printed.
func userGit(ctx context.Context, arguments ...string) (string, error) {
	return userGitWith(ctx, nil, arguments...)
}

func userGitWith(ctx context.Context, variables []string, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, "git", arguments...)
	command.Env = append(os.Environ(), append(variables, "GIT_TERMINAL_PROMPT=0")...)
	var output, complaint bytes.Buffer
	command.Stdout, command.Stderr = &output, &complaint
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("git %s: %w: %s", arguments[0], err, strings.TrimSpace(complaint.String()))
	}
	return strings.TrimSpace(output.String()), nil
}

// newGitCredential is what git runs to learn the key pair (gitcredentials(7), "Custom helpers").
func newGitCredential(s *shell) *cobra.Command {
	command := &cobra.Command{
		Use: "git-credential VERB", Short: "Answer git, which asks for the key pair", Hidden: true,
		Example: "  git config credential.http://127.0.0.1:8700.helper '!apron git-credential'",
		Args:    args(cobra.ExactArgs(1), "get, store or erase"),
		RunE: func(_ *cobra.Command, given []string) error {
			if given[0] != "get" {
				return nil
			}
			connected, err := s.connect()
			if err != nil {
				return err
			}
			asked := map[string]string{}
			for lines := bufio.NewScanner(s.in); lines.Scan() && lines.Text() != ""; {
				key, value, _ := strings.Cut(lines.Text(), "=")
				asked[key] = value
			}
			endpoint, err := url.Parse(connected.Endpoint())
			if err != nil || asked["protocol"] != endpoint.Scheme || asked["host"] != endpoint.Host {
				return nil // another apron's, or another server's: its key pair is not known here
			}
			user, password := connected.Credentials()
			fmt.Fprintf(s.out, "username=%s\npassword=%s\n", user, password)
			return nil
		},
	}
	s.settings.bindData(command.Flags())
	return command
}
