package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/apron-run/apron/cmd/apron/internal/client"
)

const testToken = "ghp_t0ken"

// wantHidden fails when what was printed shows the token.
func (r result) wantHidden(t *testing.T) {
	t.Helper()
	if strings.Contains(r.out+r.problems, "t0ken") {
		t.Errorf("the token is shown:\n%s%s", r.out, r.problems)
	}
}

func TestAConnectionIsAuthorizedByATokenFromStandardInput(t *testing.T) {
	fake := newFakeAPI(t)
	got := apronReading(t, strings.NewReader(testToken+"\n"), "connection", "authorize", "forge", "--repository", "https://git.lan/app")
	got.expect(t, 0, "forge is AVAILABLE: it read https://git.lan/app.", ":connection/forge/")
	got.wantHidden(t)
	got = apronReading(t, strings.NewReader(testToken), "connection", "authorize", "arn:aws:apprunner:x", "--user", "ci", "--output", "json")
	got.expect(t, 0, `"Status": "AVAILABLE"`)
	got.wantHidden(t)
	want := []map[string]any{
		{"ConnectionName": "forge", "Token": testToken, "RepositoryUrl": "https://git.lan/app"},
		{"ConnectionArn": "arn:aws:apprunner:x", "Token": testToken, "UserName": "ci"},
	}
	if diff := cmp.Diff(want, fake.did("AuthorizeConnection")); diff != "" {
		t.Errorf("what was asked (-want +got):\n%s", diff)
	}

	fake.refuse["AuthorizeConnection"] = "InvalidRequestException: The connection forge was not authorized: git.lan refused it."
	got = apronReading(t, strings.NewReader(testToken), "connection", "authorize", "forge")
	got.expect(t, 1, "git.lan refused it")
	got.wantHidden(t)
	fake.refuse["AuthorizeConnection"] = "ResourceNotFoundException: There is no connection with the name forge."
	apronReading(t, strings.NewReader(testToken), "connection", "authorize", "forge").expect(t, 1, "There is no connection", "apron connection list")
}

func TestAConnectionIsAuthorizedByKeysFromFiles(t *testing.T) {
	fake := newFakeAPI(t)
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("-----BEGIN KEY-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	apron(t, "connection", "authorize", "forge", "--ssh-key", key).expect(t, 0, "AVAILABLE")
	apron(t, "connection", "authorize", "forge", "--app-id", "1", "--installation", "2", "--app-key", key).expect(t, 0, "AVAILABLE")
	want := []map[string]any{
		{"ConnectionName": "forge", "SshPrivateKey": "-----BEGIN KEY-----"},
		{"ConnectionName": "forge", "App": map[string]any{"Id": "1", "InstallationId": "2", "PrivateKey": "-----BEGIN KEY-----"}},
	}
	if diff := cmp.Diff(want, fake.did("AuthorizeConnection")); diff != "" {
		t.Errorf("what was asked (-want +got):\n%s", diff)
	}
	apron(t, "connection", "authorize", "forge", "--ssh-key", key+".missing").expect(t, 1, "--ssh-key", "no such file")
}

func TestAnAuthorizationThatMakesNoSenseExitsWith2(t *testing.T) {
	fake := newFakeAPI(t)
	apron(t, "connection", "authorize", "forge").expect(t, 2, "standard input: it is empty", "<token.txt")
	apronReading(t, strings.NewReader(strings.Repeat("t", maxSecretBytes+1)), "connection", "authorize", "forge").expect(t, 2, "more than 16384 bytes")
	for _, arguments := range [][]string{
		{"authorize"}, {"authorize", "forge", "--app-id", "1"}, {"authorize", "forge", "--user", "u", "--ssh-key", "k"},
		{"authorize", "forge", "--token", "t"}, {"create"}, {"create", "forge", "--provider", "gitlab"}, {"nothing"}, {"list", "x"}, {"delete"},
	} {
		apron(t, append([]string{"connection"}, arguments...)...).expect(t, 2, "apron: ")
	}
	if asked := fake.did("AuthorizeConnection"); len(asked) > 0 {
		t.Errorf("the API was asked: %v", asked)
	}
}

// terminal opens a pseudo terminal: what a person types and sees, and what a program has as standard input.
func terminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatalf("open a pseudo terminal: %v", err)
	}
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

func TestATerminalIsAskedForTheTokenAndDoesNotShowIt(t *testing.T) {
	fake := newFakeAPI(t)
	person, program := terminal(t)
	echoes := func() bool {
		state, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		return state.Lflag&unix.ECHO != 0
	}
	done := make(chan result, 1)
	go func() { done <- apronReading(t, program, "connection", "authorize", "forge") }()
	for end := time.Now().Add(10 * time.Second); echoes(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the terminal goes on showing what is typed")
		}
	}
	if _, err := person.WriteString(testToken + "\n"); err != nil {
		t.Fatal(err)
	}
	got := <-done
	got.expect(t, 0, "Token for forge (it is not shown): ", "AVAILABLE")
	got.wantHidden(t)
	if asked := fake.did("AuthorizeConnection"); len(asked) != 1 || asked[0]["Token"] != testToken {
		t.Errorf("what was asked: %v", asked)
	}
	if !echoes() {
		t.Error("the terminal is left without showing what is typed")
	}
}

func TestConnectionsAreMadeListedAndDeleted(t *testing.T) {
	fake := newFakeAPI(t)
	apron(t, "connection", "create", "forge").expect(t, 0, "forge is made, to github.com", "apron connection authorize forge")
	apron(t, "connection", "create", "bucket", "--provider", "bitbucket").expect(t, 0, "to bitbucket.org")
	apron(t, "connection", "create", "ours", "--host", "git.lan:8443", "--output", "json").expect(t, 0, `"ConnectionName": "ours"`)
	want := []map[string]any{
		{"ConnectionName": "forge", "ProviderType": "GITHUB"},
		{"ConnectionName": "bucket", "ProviderType": "BITBUCKET"},
		{"ConnectionName": "ours", "ProviderType": "GITHUB", "Tags": []any{map[string]any{"Key": "apron:host", "Value": "git.lan:8443"}}},
	}
	if diff := cmp.Diff(want, fake.did("CreateConnection")); diff != "" {
		t.Errorf("what was asked (-want +got):\n%s", diff)
	}
	apron(t, "connection", "list").expect(t, 0, "NAME", "forge", "PENDING_HANDSHAKE", "git.lan:8443", ":connection/forge/")
	apron(t, "connection", "list", "--output", "json").expect(t, 0, `"ConnectionName": "forge"`)
	apron(t, "connection", "delete", "forge").expect(t, 0, "forge is deleted.")
	apron(t, "connection", "delete", "nobody").expect(t, 1, "no such connection: nobody", "apron connection list")
	apron(t, "connection").expect(t, 0, "apron connection create forge")
}

func TestGitCredentialsNeverPrint(t *testing.T) {
	credentials := client.GitCredentials{Token: testToken, SSHKey: testToken, AppKey: testToken}
	if printed := fmt.Sprintf("%v %+v %#v %s %v", credentials, credentials, credentials, credentials, credentials.LogValue()); strings.Contains(printed, "t0ken") {
		t.Errorf("they print as %s", printed)
	}
}
