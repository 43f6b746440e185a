package e2e

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"github.com/apron-run/apron/test/sample"
)

// A secret goes from the command line into the app, and lies nowhere else in the open.
func TestASecretReachesTheAppAlone(t *testing.T) {
	t.Parallel()
	a := shared(t)
	push(t, a, "secretive:live", sample.Variant{Version: "one"})
	input := fromImage("secretive", "secretive:live", nil)
	input.SourceConfiguration.ImageRepository.ImageConfiguration.RuntimeEnvironmentSecrets = map[string]string{
		"PASSWORD": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:e2e/database-AbCdEf:password::",
	}
	service, operation := a.Create(t, input)
	failed := service.WantOperation(t, operation, "FAILED")
	if got := failed.String(); !strings.Contains(got, "PASSWORD") || !strings.Contains(got, "apron secret put e2e/database") {
		t.Errorf("a missing secret is told as %s", got)
	}

	const value = "in-the-open-nowhere"
	stored := a.CommandReading(t, `{"password":"`+value+`"}`+"\n", "secret", "put", "e2e/database")
	if stored.Code != 0 || strings.Contains(stored.Out+stored.Err, value) {
		t.Fatalf("apron secret put: %+v", stored)
	}
	service.MustDeploy(t)
	a.WantBody(t, service.URL, "/env?name=PASSWORD", value)

	if listed := a.MustCommand(t, "secret", "list"); !strings.Contains(listed, "e2e/database") {
		t.Errorf("listed: %s", listed)
	}
	a.MustCommand(t, "secret", "delete", "e2e/database")
	a.WantBody(t, service.URL, "/env?name=PASSWORD", value)
	// containerd keeps the environment of what runs, for root alone to read.
	found, err := exec.Command("grep", "-rlF", "--exclude-dir=containerd", "--exclude-dir=run", value, a.Data).Output()
	if len(bytes.TrimSpace(found)) > 0 {
		t.Errorf("the value lies in %s (%v)", found, err)
	}
	service.Delete(t)
}
