package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/aws/smithy-go"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/apron-run/apron/cmd/apron/internal/client"
	"github.com/apron-run/apron/cmd/apron/internal/view"
)

// authorization is what the flags of `connection authorize` say. A token is no flag: other users of the machine see the
// arguments of every program.
type authorization struct {
	repository, user            string
	sshKey                      string
	appID, installation, appKey string
}

func newConnectionAuthorize(s *shell) *cobra.Command {
	var asked authorization
	command := &cobra.Command{
		Use: "authorize NAME", Short: "Give a connection its credentials, or others",
		Long: "authorize reads a private repository with the credentials, and keeps them if that worked; else the connection\n" +
			"stays as it was. One that has credentials already gets the new ones: deployments from then on use those.\n\n" +
			"A token is read from standard input; on a terminal apron asks for it and does not show it. It needs to read the\n" +
			"contents of repositories, nothing else: for GitHub a fine-grained token with \"Contents: read\". With --ssh-key it is\n" +
			"a private key without a passphrase, for URLs with ssh:// or git@HOST:, such as that of a deploy key. With --app-id,\n" +
			"--installation and --app-key it is a GitHub app, whose tokens apron renews by itself.\n\n" +
			"--repository may be left out once a service uses the connection: then that service's repository is read.",
		Example: "  apron connection authorize forge --repository https://github.com/ada/private-app\n" +
			"  apron connection authorize forge <token.txt\n" +
			"  apron connection authorize ours --user ci --repository https://git.example.com:8443/team/app.git <token.txt\n" +
			"  apron connection authorize forge --ssh-key ~/.ssh/deploy --repository git@github.com:ada/private-app.git\n" +
			"  apron connection authorize forge --app-id 123456 --installation 7654321 --app-key app.pem --repository https://github.com/ada/private-app",
		Args: args(cobra.ExactArgs(1), "the name or ARN of a connection"),
		RunE: func(command *cobra.Command, given []string) error {
			return s.authorize(command.Context(), given[0], asked)
		},
	}
	flags := command.Flags()
	flags.StringVar(&asked.repository, "repository", "", "URL of a private repository to read with the credentials")
	flags.StringVar(&asked.user, "user", "", "user that goes with the token (default the host's own for tokens)")
	flags.StringVar(&asked.sshKey, "ssh-key", "", "file of a private SSH key, instead of a token")
	flags.StringVar(&asked.appID, "app-id", "", "id of a GitHub app, instead of a token")
	flags.StringVar(&asked.installation, "installation", "", "id of the app's installation")
	flags.StringVar(&asked.appKey, "app-key", "", "file of the app's private key (.pem)")
	command.MarkFlagsRequiredTogether("app-id", "installation", "app-key")
	command.MarkFlagsMutuallyExclusive("user", "ssh-key", "app-id")
	return command
}

func (s *shell) authorize(ctx context.Context, name string, asked authorization) error {
	connected, err := s.connect()
	if err != nil {
		return err
	}
	credentials, err := s.credentials(ctx, name, asked)
	if err != nil {
		return err
	}
	authorized, err := connected.Authorize(ctx, name, credentials, asked.repository)
	if err != nil {
		return aboutConnection(err)
	}
	if s.isJSON() {
		return view.JSON(s.out, authorized)
	}
	connection := authorized.Connection
	_, err = fmt.Fprintf(s.out, "%s is %s: it read %s.\nServices use it by its ARN: %s\n", view.Clean(connection.Name), view.Clean(connection.Status),
		view.Clean(authorized.RepositoryURL), view.Clean(connection.ARN))
	return err
}

// credentials come from the files that are named, else from standard input.
func (s *shell) credentials(ctx context.Context, name string, asked authorization) (credentials client.GitCredentials, err error) {
	switch {
	case asked.appID != "":
		credentials.AppID, credentials.Installation = asked.appID, asked.installation
		credentials.AppKey, err = readSecretFile("--app-key", asked.appKey)
	case asked.sshKey != "":
		credentials.SSHKey, err = readSecretFile("--ssh-key", asked.sshKey)
	default:
		credentials.User = asked.user
		credentials.Token, err = s.readToken(ctx, name)
	}
	return credentials, err
}

// maxSecretBytes is what the API takes of a token or key.
const maxSecretBytes = 16384

func readSecretFile(flag, path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", flag, err)
	}
	defer file.Close()
	text, err := readSecret(file)
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", flag, path, err)
	}
	return text, nil
}

func readSecret(from io.Reader) (string, error) {
	content, err := io.ReadAll(io.LimitReader(from, maxSecretBytes+1))
	text := strings.TrimSpace(string(content))
	switch {
	case err != nil:
		return "", err
	case len(content) > maxSecretBytes:
		return "", fmt.Errorf("it has more than %d bytes, which no token or key has", maxSecretBytes)
	case text == "":
		return "", errors.New("it is empty")
	}
	return text, nil
}

func (s *shell) readToken(ctx context.Context, name string) (string, error) {
	token, err := s.readHidden(ctx, "Token for "+name, readSecret)
	if err != nil && ctx.Err() == nil {
		err = &usageError{fmt.Errorf("read the token from standard input: %w", err),
			"Pipe it in (apron connection authorize " + name + " <token.txt), or run the command on a terminal, which asks for it."}
	}
	return token, err
}

// readHidden reads from standard input, and asks there where a person sits. Nothing of what is typed is shown.
func (s *shell) readHidden(ctx context.Context, prompt string, readFrom func(io.Reader) (string, error)) (string, error) {
	read := func() (string, error) { return readFrom(s.in) }
	if file, isFile := s.in.(*os.File); isFile && term.IsTerminal(int(file.Fd())) {
		terminal := int(file.Fd())
		before, err := term.GetState(terminal)
		if err != nil {
			return "", fmt.Errorf("look at the terminal: %w", err)
		}
		// Also when Ctrl-C ends the waiting: the terminal must show again what is typed.
		defer func() {
			_ = term.Restore(terminal, before)
			fmt.Fprintln(s.err)
		}()
		fmt.Fprintf(s.err, "%s (it is not shown): ", prompt)
		read = func() (string, error) {
			typed, err := term.ReadPassword(terminal)
			if err != nil {
				return "", err
			}
			return readFrom(bytes.NewReader(typed))
		}
	}
	type answer struct {
		text string
		err  error
	}
	done := make(chan answer, 1) // nobody waits any more once ctx has ended
	go func() {
		text, err := read()
		done <- answer{text, err}
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case got := <-done:
		return got.text, got.err
	}
}

// aboutConnection gives the advice for connections where the API's code alone would bring that for services.
func aboutConnection(err error) error {
	var answered smithy.APIError
	if errors.As(err, &answered) && strings.TrimSuffix(answered.ErrorCode(), "Exception") == "ResourceNotFound" {
		return advise(adviceConnections, "%s", view.Clean(answered.ErrorMessage()))
	}
	return err
}
