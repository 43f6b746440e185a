package apron

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// awsProgram is Debian's AWS CLI, whatever else is called aws on PATH.
const awsProgram = "/usr/bin/aws"

// AWS runs `aws apprunner` with the arguments, and decodes what it prints into output unless that is nil.
func (a *Apron) AWS(t testing.TB, output any, arguments ...string) {
	t.Helper()
	printed, complaint, err := a.aws(arguments)
	if err != nil {
		t.Fatalf("aws apprunner %s: %v\n%s", strings.Join(arguments, " "), err, complaint)
	}
	if output == nil {
		return
	}
	if err := json.Unmarshal(printed, output); err != nil {
		t.Fatalf("aws apprunner %s printed %q: %v", arguments[0], printed, err)
	}
}

// AWSFails runs `aws apprunner`, which must fail, and returns what it complains.
func (a *Apron) AWSFails(t testing.TB, arguments ...string) string {
	t.Helper()
	printed, complaint, err := a.aws(arguments)
	if err == nil {
		t.Fatalf("aws apprunner %s did not fail and printed %s", strings.Join(arguments, " "), printed)
	}
	return string(complaint)
}

func (a *Apron) aws(arguments []string) (printed, complaint []byte, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	// CLIs before 2.13, Debian 12's among them, know no AWS_ENDPOINT_URL.
	common := []string{"apprunner", "--endpoint-url", a.Endpoint(), "--output", "json", "--no-cli-pager"}
	command := exec.CommandContext(ctx, awsProgram, append(common, arguments...)...)
	command.Env = []string{
		"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + os.TempDir(), "LC_ALL=C.UTF-8", "AWS_CONFIG_FILE=/dev/null",
		"AWS_SHARED_CREDENTIALS_FILE=" + filepath.Join(a.Data, "credentials"), "AWS_DEFAULT_REGION=" + a.Region,
		"AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1",
	}
	var out, errors bytes.Buffer
	command.Stdout, command.Stderr = &out, &errors
	err = command.Run()
	return out.Bytes(), errors.Bytes(), err
}

// JSON returns a value as an argument for the AWS CLI.
func JSON(t testing.TB, value any) string {
	t.Helper()
	content, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
