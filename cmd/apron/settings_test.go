package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/apron-run/apron/internal/app"
)

// lockedBuffer takes the output of a command that runs beside the test.
type lockedBuffer struct {
	mu     sync.Mutex // guards buffer
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

func resolve(t *testing.T, arguments ...string) (app.Config, error) {
	t.Helper()
	var s settings
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	s.bind(flags)
	if err := flags.Parse(arguments); err != nil {
		t.Fatal(err)
	}
	return s.resolve()
}

func TestAFlagWinsOverItsVariableThatOverTheFileThatOverTheDefault(t *testing.T) {
	for _, each := range allSettings {
		t.Setenv(variable(each.name), "")
	}
	want := app.Default()
	got, err := resolve(t)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("without anything: %v %s", err, diff)
	}
	file := filepath.Join(t.TempDir(), "apron.yaml")
	if err := os.WriteFile(file, []byte("data: /from/file\nregion: eu-west-1\naccount: \"012345678901\"\ndomain: file.test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("APRON_CONFIG", file)
	t.Setenv("APRON_REGION", "eu-west-2")
	t.Setenv("APRON_PRIVATE_HTTP", "10.0.0.1:80")
	t.Setenv("APRON_DOMAIN", "env.test")
	want.DataDir, want.Account, want.Region, want.Domain = "/from/file", "012345678901", "eu-west-2", "flag.test"
	want.PrivateHTTPAddr = "10.0.0.1:80"
	got, err = resolve(t, "--domain", "flag.test")
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("with all of them: %v %s", err, diff)
	}
	if got, err := resolve(t, "--data", "relative"); err != nil || !filepath.IsAbs(got.DataDir) {
		t.Errorf("a relative data directory is %q (%v)", got.DataDir, err)
	}
}

func TestQuotasAddUp(t *testing.T) {
	got, err := resolve(t, "--quota", "apprunner", "--quota", "services=3,connections=0")
	if err != nil || got.Quotas != "apprunner,services=3,connections=0" {
		t.Errorf("%q, %v", got.Quotas, err)
	}
	for _, wrong := range []string{"services", "services=-1", "servers=1", "services=1;connections=1"} {
		if _, err := resolve(t, "--quota", wrong); err == nil || !strings.Contains(err.Error(), "quota ") {
			t.Errorf("--quota %s: %v", wrong, err)
		}
	}
}

func TestAFileWithAMistakeIsRefused(t *testing.T) {
	for content, want := range map[string]string{
		"dta: /x\n": `no setting "dta"`, "data: [1]\n": "cannot unmarshal", ":": "yaml", "region: nowhere\n": "region",
	} {
		file := filepath.Join(t.TempDir(), "apron.yaml")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := resolve(t, "--config", file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", content, err, want)
		}
	}
}
