package conformance

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
)

// cliClient runs Debian's AWS CLI once for each call.
type cliClient struct {
	*processClient
	endpoint string
}

// newCLI makes a client that keeps its configuration in dir.
func newCLI(at where, dir string) (Client, error) {
	// As the service writes them: the CLI shows times as text otherwise.
	config := filepath.Join(dir, "config")
	if err := os.WriteFile(config, []byte("[default]\ncli_timestamp_format = wire\n"), 0o600); err != nil {
		return nil, err
	}
	driver, err := startDriver(awsCLI, at, dir, python, []string{"-I", "drivers/aws_cli_driver.py"}, "AWS_CONFIG_FILE="+config, "AWS_MAX_ATTEMPTS=1")
	if err != nil {
		return nil, err
	}
	return &cliClient{driver, at.endpoint}, nil
}

// ran is what came of a run of the CLI.
type ran struct {
	Code               int
	Printed, Complaint string
}

func (c *cliClient) Call(ctx context.Context, action string, input json.RawMessage) (json.RawMessage, *APIError) {
	var end ran
	err := c.ask(ctx, []string{
		"apprunner", kebab(action), "--cli-input-json", string(input), "--endpoint-url", c.endpoint, "--output", "json", "--no-cli-pager",
	}, &end)
	switch {
	case err != nil:
		return nil, noAnswer("run the AWS CLI: %v", err)
	case end.Code != 0:
		return nil, cliError(end.Code, end.Complaint)
	case strings.TrimSpace(end.Printed) == "":
		return json.RawMessage("{}"), nil // an output without members is not printed
	}
	return json.RawMessage(end.Printed), nil
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
