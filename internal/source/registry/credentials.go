package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"syscall"
	"time"

	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/cli/cli/config/credentials"
	"github.com/docker/cli/cli/config/types"
	"github.com/docker/docker-credential-helpers/client"
	helpers "github.com/docker/docker-credential-helpers/credentials"

	"github.com/apron-run/apron/internal/platform"
)

// hubKey is the name under which Docker keeps the credentials of Docker Hub.
const hubKey = "https://index.docker.io/v1/"

// helperTime bounds a credential helper, which may ask a server.
const helperTime = 30 * time.Second

// Credentials returns user and password for a registry's host, both empty when there are none. An empty user means
// that the password is an identity token. BuildKit asks it for the images a Dockerfile is built from.
func (r *Registry) Credentials(ctx context.Context, host string) (user, password string, err error) {
	if r.config.Endpoint.Is(host, "80") {
		return r.config.Keys.ID, r.config.Keys.Secret, nil
	}
	file, err := r.readCredentials()
	if err != nil {
		return "", "", err
	}
	key := host
	switch host {
	case dockerHub, "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com":
		key = hubKey
	}
	helper := file.CredentialsStore
	if own, ok := file.CredentialHelpers[host]; ok {
		helper = own
	} else if own, ok := file.CredentialHelpers[key]; ok {
		helper = own
	}
	if helper != "" {
		return r.askHelper(ctx, helper, key)
	}
	found, err := credentials.NewFileStore(file).Get(key)
	if err != nil {
		return "", "", fmt.Errorf("read registry credentials: %w", err)
	}
	if found == (types.AuthConfig{}) && key == hubKey {
		// People write the name they know.
		found, _ = credentials.NewFileStore(file).Get(dockerHub)
	}
	if found.IdentityToken != "" {
		return "", found.IdentityToken, nil
	}
	if ecrPattern.MatchString(host) && accessKeyPattern.MatchString(found.Username) {
		return r.ecrCredentials(ctx, host, found.Username, found.Password)
	}
	return found.Username, found.Password, nil
}

// readCredentials reads registries.json. No file is no credentials.
func (r *Registry) readCredentials() (*configfile.ConfigFile, error) {
	content := configfile.New(r.credentialsFile())
	file, err := os.Open(r.credentialsFile())
	if errors.Is(err, fs.ErrNotExist) {
		return content, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read registry credentials: %w", err)
	}
	defer file.Close()
	if err := content.LoadFromReader(io.LimitReader(file, 1<<20)); err != nil {
		// The parser's message may repeat a part of the file.
		return nil, platform.Explain(nil, "the file %s cannot be read", r.credentialsFile()).Try("give it the format of Docker's config.json")
	}
	return content, nil
}

// helperPattern is the name of a credential helper, which becomes a part of a program's name.
var helperPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// askHelper runs docker-credential-HELPER.
func (r *Registry) askHelper(ctx context.Context, helper, host string) (user, password string, err error) {
	if !helperPattern.MatchString(helper) {
		return "", "", platform.Explain(nil, "%q in %s is not the name of a credential helper", helper, r.credentialsFile()).
			Try("write what follows docker-credential- in the program's name")
	}
	ctx, cancel := context.WithTimeout(ctx, helperTime)
	defer cancel()
	program := "docker-credential-" + helper
	if _, err := exec.LookPath(program); err != nil {
		return "", "", platform.Explain(err, "the credential helper %s, which %s names for %s, is not installed", program, r.credentialsFile(), host).
			Try("install it where apron finds it (PATH), or put the credentials themselves into the file")
	}
	found, err := client.Get(func(args ...string) client.Program { return newHelperProgram(ctx, program, args) }, host)
	switch {
	case helpers.IsErrCredentialsNotFound(err):
		return "", "", nil
	case err != nil:
		// What the helper printed may hold a secret, so it is not repeated.
		return "", "", platform.Explain(nil, "the credential helper %s, which %s names for %s, failed", program, r.credentialsFile(), host).
			Try("run `echo %s | %s get` to see why", host, program)
	}
	if found.Username == "<token>" { // the helpers' way to say that it is an identity token
		return "", found.Secret, nil
	}
	return found.Username, found.Secret, nil
}

// helperProgram is a credential helper that ends with its context.
type helperProgram struct{ cmd *exec.Cmd }

func newHelperProgram(ctx context.Context, program string, args []string) client.Program {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	return &helperProgram{cmd}
}

func (p *helperProgram) Input(in io.Reader)      { p.cmd.Stdin = in }
func (p *helperProgram) Output() ([]byte, error) { return p.cmd.Output() }
