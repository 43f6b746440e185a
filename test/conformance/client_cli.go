package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
)

// awsProgram is Debian's AWS CLI, whatever else is called aws on PATH.
const awsProgram = "/usr/bin/aws"

// cliClient runs the AWS CLI once for each call.
type cliClient struct {
	where
	version, dir string
}

// newCLI makes a client that keeps its configuration in dir.
func newCLI(at where, dir string) (Client, error) {
	printed, err := exec.Command(awsProgram, "--version").Output()
	if err != nil {
		return nil, err
	}
	version, _, _ := strings.Cut(strings.TrimPrefix(string(printed), "aws-cli/"), " ")
	// As the service writes them: the CLI shows times as text otherwise.
	config := []byte("[default]\ncli_timestamp_format = wire\n")
	return &cliClient{at, version, dir}, os.WriteFile(filepath.Join(dir, "config"), config, 0o600)
}

func (c *cliClient) Name() string    { return awsCLI }
func (c *cliClient) Version() string { return c.version }
func (c *cliClient) Close() error    { return nil }

func (c *cliClient) Call(ctx context.Context, action string, input json.RawMessage) (json.RawMessage, *APIError) {
	command := exec.CommandContext(ctx, awsProgram, "apprunner", kebab(action), "--cli-input-json", string(input),
		"--endpoint-url", c.endpoint, "--output", "json", "--no-cli-pager")
	command.Env = []string{
		"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + c.dir, "LC_ALL=C.UTF-8",
		"AWS_CONFIG_FILE=" + filepath.Join(c.dir, "config"), "AWS_SHARED_CREDENTIALS_FILE=" + c.credentials,
		"AWS_DEFAULT_REGION=" + c.region, "AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1",
	}
	var printed, complaint bytes.Buffer
	command.Stdout, command.Stderr = &printed, &complaint
	err := command.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return nil, cliError(exit.ExitCode(), complaint.String())
	case err != nil:
		return nil, noAnswer("run the AWS CLI: %v", err)
	case len(bytes.TrimSpace(printed.Bytes())) == 0:
		return json.RawMessage("{}"), nil // an output without members is not printed
	}
	return printed.Bytes(), nil
}

var cliComplaint = regexp.MustCompile(`(?s)An error occurred \(([^)]+)\) when calling the \w+ operation(?: \(reached max retries: \d+\))?: (.*)`)

// cliRefused is the CLI's exit code for arguments that it refuses itself.
const cliRefused = 252

func cliError(code int, complaint string) *APIError {
	complaint = strings.TrimSpace(complaint)
	if parts := cliComplaint.FindStringSubmatch(complaint); parts != nil {
		return &APIError{Code: parts[1], Message: parts[2]}
	}
	if code == cliRefused {
		return &APIError{Code: ClientSide, Message: complaint}
	}
	return noAnswer("the AWS CLI ended with %d: %s", code, complaint)
}

// kebab is an action as the CLI's command: CreateVpcConnector is create-vpc-connector.
func kebab(action string) string {
	var name strings.Builder
	for i, letter := range action {
		if unicode.IsUpper(letter) && i > 0 {
			name.WriteByte('-')
		}
		name.WriteRune(unicode.ToLower(letter))
	}
	return name.String()
}
