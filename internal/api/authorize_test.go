package api_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/apron-run/apron/internal/api"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/source"
	"github.com/apron-run/apron/internal/source/gitserver"
	"github.com/apron-run/apron/internal/source/gittest"
	"github.com/apron-run/apron/internal/store"
)

const gitToken = "ghp_t0ken+for/tests"

// forge is a Git server with a private repository, and a connection to it.
type forge struct {
	*world
	// host is HOST:PORT of the server, repository a URL there, arn the connection's.
	host, repository, arn string
	log                   *bytes.Buffer
}

func newForge(t *testing.T) *forge {
	t.Helper()
	dir := t.TempDir()
	work := gittest.New(t)
	work.Write("apprunner.yaml", "version: 1.0\n")
	work.Commit("Begin")
	work.Git("clone", "--quiet", "--bare", work.Dir, filepath.Join(dir, "app.git"))
	server := httptest.NewServer(gitserver.New(gitserver.Config{Dir: dir, Keys: source.KeyPair{ID: "oauth2", Secret: gitToken}}))
	t.Cleanup(server.Close)
	f := &forge{host: strings.TrimPrefix(server.URL, "http://"), repository: server.URL + "/git/app.git", log: &bytes.Buffer{}}
	f.world = newWorld(t, func(config *api.Config) { config.Log = slog.New(slog.NewTextHandler(f.log, nil)) })
	f.arn = f.connect("forge", f.host)
	return f
}

func (f *forge) connect(name, host string) (arn string) {
	f.t.Helper()
	made := f.call("CreateConnection", fmt.Sprintf(`{"ConnectionName":%q,"ProviderType":"GITHUB","Tags":[{"Key":"apron:host","Value":%q}]}`, name, host))
	return made["Connection"].(map[string]any)["ConnectionArn"].(string)
}

// authorize sends Apron.AuthorizeConnection.
func (f *forge) authorize(members string) answer {
	f.t.Helper()
	return f.send("Apron.AuthorizeConnection", "{"+members+"}", nil)
}

func (f *forge) status() string {
	f.t.Helper()
	list := f.call("ListConnections", `{"ConnectionName":"forge"}`)["ConnectionSummaryList"].([]any)
	return list[0].(map[string]any)["Status"].(string)
}

func (f *forge) codeOf(repository, connection string) string {
	return created(fmt.Sprintf(`{"AuthenticationConfiguration":{"ConnectionArn":%q},"CodeRepository":{"RepositoryUrl":%q,"SourceCodeVersion":{"Type":"BRANCH","Value":"main"}%s}}`,
		connection, repository, byFile), "")
}

const byName = `"ConnectionName":"forge"`

func withToken(token string) string { return fmt.Sprintf(`,"Token":%q`, token) }

func TestAConnectionBecomesAvailableByCredentialsThatReadARepository(t *testing.T) {
	f := newForge(t)
	if got := f.status(); got != "PENDING_HANDSHAKE" {
		t.Fatalf("it begins as %s", got)
	}
	f.refused("CreateService", f.codeOf(f.repository, f.arn), "InvalidRequestException", 400)

	withURL := fmt.Sprintf(`,"RepositoryUrl":%q`, f.repository)
	got := f.authorize(byName + withToken("wr0ng") + withURL)
	if got.status != 400 || !strings.Contains(got.body, "The connection forge was not authorized: 127.0.0.1 refused the credentials") {
		t.Errorf("a wrong token: %d %s", got.status, got.body)
	}
	if got := f.status(); got != "PENDING_HANDSHAKE" {
		t.Errorf("after a wrong token it is %s", got)
	}
	if got := f.authorize(byName + withToken(gitToken)); got.status != 400 || !strings.Contains(got.body, "RepositoryUrl is required, because no service uses the connection forge yet") {
		t.Errorf("without a repository: %d %s", got.status, got.body)
	}

	got = f.authorize(byName + withToken(gitToken) + strings.Replace(withURL, "http://", "http://someone:else@", 1))
	if got.status != 200 || !strings.Contains(got.body, `"Status":"AVAILABLE"`) || !strings.Contains(got.body, `"RepositoryUrl":"`+f.repository+`"`) {
		t.Fatalf("the right token: %d %s", got.status, got.body)
	}
	service := member(t, f.call("CreateService", f.codeOf(f.repository, f.arn)), "Service")
	if shown := fmt.Sprint(service); !strings.Contains(shown, f.arn) {
		t.Errorf("the service does not show its connection: %s", shown)
	}

	// Other credentials: tried with the service's repository, by ARN.
	byARN := fmt.Sprintf(`"ConnectionArn":%q`, f.arn)
	if got := f.authorize(byARN + `,"SshPrivateKey":"k"`); got.status != 400 || !strings.Contains(got.body, "the service webapp") || !strings.Contains(got.body, "must begin with ssh://") {
		t.Errorf("a key that the service cannot be read with: %d %s", got.status, got.body)
	}
	if got := f.authorize(byARN + withToken("wr0ng")); got.status != 400 || !strings.Contains(got.body, "refused the credentials") {
		t.Errorf("a wrong token later: %d %s", got.status, got.body)
	}
	if got := f.status(); got != "AVAILABLE" {
		t.Errorf("after a wrong token later it is %s", got)
	}
	if got := f.authorize(byARN + withToken(gitToken) + `,"UserName":"oauth2"`); got.status != 200 {
		t.Errorf("the right token later: %d %s", got.status, got.body)
	}

	message := f.refused("DeleteConnection", byConnection(f.arn), "InvalidRequestException", 400)
	if !strings.Contains(message, "in use by a service") {
		t.Errorf("a used connection: %s", message)
	}
	f.settle(member(t, service, "ServiceArn").(string), platform.ServiceStatusDeleted)
	f.call("DeleteConnection", byConnection(f.arn))
	if got := f.authorize(byARN + withToken(gitToken) + withURL); got.status != 400 || !strings.Contains(got.body, "ResourceNotFoundException") {
		t.Errorf("a deleted connection: %d %s", got.status, got.body)
	}
	for _, resource := range f.resources() {
		if resource.Detail.Connection.Credentials != nil {
			t.Errorf("the deleted connection %s keeps its credentials", resource.Name)
		}
	}
}

func byConnection(arn string) string { return fmt.Sprintf(`{"ConnectionArn":%q}`, arn) }

func (f *forge) resources() []platform.Resource {
	f.t.Helper()
	resources, err := f.store.ListResources(f.t.Context(), store.ResourceQuery{Kind: platform.ResourceConnection, WithDeleted: true})
	if err != nil {
		f.t.Fatal(err)
	}
	return resources
}

// The credentials are nowhere but sealed in the database: in no answer, no log, no file.
func TestCredentialsAreInNoAnswerNoLogAndNoFile(t *testing.T) {
	f := newForge(t)
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	key := string(pem.EncodeToMemory(block))
	answers := []answer{
		f.authorize(fmt.Sprintf(`%s%s,"RepositoryUrl":%q`, byName, withToken(gitToken), f.repository)),
		f.authorize(fmt.Sprintf(`%s%s,"RepositoryUrl":%q`, byName, withToken(gitToken+"-wr0ng"), f.repository)),
		f.authorize(fmt.Sprintf(`%s%s,"RepositoryUrl":"no URL"`, byName, withToken(gitToken))),
		f.authorize(fmt.Sprintf(`%s,"SshPrivateKey":%q,"RepositoryUrl":%q`, byName, key, f.repository)),
		f.authorize(fmt.Sprintf(`%s%s%s`, byName, withToken(gitToken), `,"UserName":"a\nb"`)),
		f.authorize(fmt.Sprintf(`%s,"Token":%q,"SshPrivateKey":%q`, byName, gitToken, key)),
		f.send("AppRunner.ListConnections", "{}", nil),
		f.send("AppRunner.ListTagsForResource", fmt.Sprintf(`{"ResourceArn":%q}`, f.arn), nil),
		f.send("AppRunner.DeleteConnection", byConnection(f.arn), nil),
	}
	if answers[0].status != 200 || answers[1].status != 400 || answers[8].status != 200 {
		t.Fatalf("the answers are %v", answers)
	}
	texts := []string{f.log.String()}
	for _, answer := range answers {
		texts = append(texts, answer.body, fmt.Sprint(answer.header))
	}
	if err := f.store.Close(); err != nil {
		t.Fatal(err)
	}
	files := 0
	for _, dir := range f.dirs {
		err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			files++
			content, err := os.ReadFile(path)
			texts = append(texts, string(content))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files == 0 {
		t.Error("there was no file to look into")
	}
	secrets := []string{gitToken, "t0ken", strings.Split(key, "\n")[2]}
	for i, text := range texts {
		if slices.ContainsFunc(secrets, func(secret string) bool { return strings.Contains(text, secret) }) {
			t.Errorf("text %d shows a secret: %.500q", i, text)
		}
	}
}

func TestAnAuthorizationThatIsNotValidIsRefused(t *testing.T) {
	f := newForge(t)
	const invalid, missing = "InvalidRequestException", "ResourceNotFoundException"
	other := f.arn[:len(f.arn)-32] + strings.Repeat("0", 32)
	for name, c := range map[string]struct{ body, code, want string }{
		"nobody":                       {withToken("t")[1:], invalid, "One of ConnectionName and ConnectionArn"},
		"two names":                    {byName + fmt.Sprintf(`,"ConnectionArn":%q`, f.arn) + withToken("t"), invalid, "One of ConnectionName and ConnectionArn"},
		"an unknown name":              {`"ConnectionName":"nobody"` + withToken("t"), missing, "nobody"},
		"an unknown ARN":               {fmt.Sprintf(`"ConnectionArn":%q`, other) + withToken("t"), missing, "There is no connection"},
		"no credentials":               {byName, invalid, "One of Token, SshPrivateKey and App"},
		"two kinds":                    {byName + withToken("t") + `,"SshPrivateKey":"k"`, invalid, "One of Token, SshPrivateKey and App"},
		"a user with a key":            {byName + `,"SshPrivateKey":"k","UserName":"u"`, invalid, "UserName"},
		"an empty token":               {byName + withToken(""), invalid, "Token"},
		"an app without its key":       {byName + `,"App":{"Id":"1","InstallationId":"2"}`, invalid, "App.PrivateKey"},
		"a repository of nowhere":      {byName + withToken("t") + `,"RepositoryUrl":"app"`, invalid, "RepositoryUrl must be the URL"},
		"a repository of another host": {byName + withToken("t") + `,"RepositoryUrl":"https://example.org/app"`, invalid, "go nowhere else"},
		"a path":                       {byName + withToken("t") + `,"RepositoryUrl":"/etc"`, invalid, "go nowhere else"},
	} {
		t.Run(name, func(t *testing.T) {
			got := f.authorize(c.body)
			if got.status != 400 || !strings.Contains(got.body, `"__type":"`+c.code+`"`) || !strings.Contains(got.body, c.want) {
				t.Errorf("%d %s, want %s with %q", got.status, got.body, c.code, c.want)
			}
		})
	}
	if got := f.status(); got != "PENDING_HANDSHAKE" {
		t.Errorf("it is %s", got)
	}
}

func TestAServiceTakesAConnectionForTheHostOfItsRepositoryAlone(t *testing.T) {
	f := newForge(t)
	if got := f.authorize(fmt.Sprintf(`%s%s,"RepositoryUrl":%q`, byName, withToken(gitToken), f.repository)); got.status != 200 {
		t.Fatal(got.body)
	}
	for _, elsewhere := range []string{"https://example.org/app.git", "git@127.0.0.1:app.git", "/srv/app", strings.Replace(f.repository, "127.0.0.1", "localhost", 1)} {
		message := f.refused("CreateService", f.codeOf(elsewhere, f.arn), "InvalidRequestException", 400)
		for _, want := range []string{"SourceConfiguration.CodeRepository.RepositoryUrl", f.host, "forge", "apron:host"} {
			if !strings.Contains(message, want) {
				t.Errorf("%s is refused with %q, which lacks %q", elsewhere, message, want)
			}
		}
	}
	message := f.refused("CreateService", f.codeOf("ssh://git@"+f.host+"/app", f.arn), "InvalidRequestException", 400)
	if !strings.Contains(message, "must begin with https://") {
		t.Errorf("ssh with a token: %s", message)
	}
	image := strings.Replace(imageSource, "{", fmt.Sprintf(`{"AuthenticationConfiguration":{"ConnectionArn":%q},`, f.arn), 1)
	f.refused("CreateService", created(image, ""), "InvalidRequestException", 400)

	// An update: another repository keeps the connection, and so must be at its host.
	service := member(t, f.call("CreateService", f.codeOf(f.repository, f.arn)), "Service")
	arn := member(t, service, "ServiceArn").(string)
	f.settle(arn, platform.ServiceStatusRunning)
	update := func(repository string) string {
		return fmt.Sprintf(`{"ServiceArn":%q,"SourceConfiguration":{"CodeRepository":{"RepositoryUrl":%q,"SourceCodeVersion":{"Type":"BRANCH","Value":"main"}}}}`, arn, repository)
	}
	if message := f.refused("UpdateService", update("https://example.org/app.git"), "InvalidRequestException", 400); !strings.Contains(message, f.host) {
		t.Errorf("an update to another host: %s", message)
	}
	f.call("UpdateService", update(strings.Replace(f.repository, "app.git", "other.git", 1)))

	// The credentials stay where they are.
	for _, each := range []struct{ action, body string }{
		{"TagResource", fmt.Sprintf(`{"ResourceArn":%q,"Tags":[{"Key":"apron:host","Value":"evil.org"}]}`, f.arn)},
		{"UntagResource", fmt.Sprintf(`{"ResourceArn":%q,"TagKeys":["apron:host"]}`, f.arn)},
	} {
		if message := f.refused(each.action, each.body, "InvalidRequestException", 400); !strings.Contains(message, "apron:host") || !strings.Contains(message, f.host) {
			t.Errorf("%s: %s", each.action, message)
		}
	}
	f.call("TagResource", fmt.Sprintf(`{"ResourceArn":%q,"Tags":[{"Key":"team","Value":"a"}]}`, f.arn))
}

func TestTheTagOfAHostIsCheckedWhereItIsGiven(t *testing.T) {
	f := newForge(t)
	const making = `{"ConnectionName":"another","ProviderType":"GITHUB","Tags":[{"Key":"apron:host","Value":%q}]}`
	for _, value := range []string{"", "https://git.lan", "git.lan/app", "git.lan:0"} {
		message := f.refused("CreateConnection", fmt.Sprintf(making, value), "InvalidRequestException", 400)
		if !strings.Contains(message, "Tags[0].Value of the tag apron:host") {
			t.Errorf("%q: %s", value, message)
		}
		f.refused("TagResource", fmt.Sprintf(`{"ResourceArn":%q,"Tags":[{"Key":"apron:host","Value":%q}]}`, f.arn, value), "InvalidRequestException", 400)
	}
	f.call("CreateConnection", fmt.Sprintf(making, "git.lan:8443"))
	f.call("TagResource", fmt.Sprintf(`{"ResourceArn":%q,"Tags":[{"Key":"apron:host","Value":"git.lan"}]}`, f.arn)) // it has no credentials yet
}

func TestAProvidersOwnHostNeedsNoTag(t *testing.T) {
	f := newForge(t)
	for provider, host := range map[string]string{"GITHUB": "github.com", "BITBUCKET": "bitbucket.org"} {
		name := strings.ToLower(provider)
		made := f.call("CreateConnection", fmt.Sprintf(`{"ConnectionName":%q,"ProviderType":%q}`, name, provider))
		arn := member(t, member(t, made, "Connection"), "ConnectionArn").(string)
		// No test can ask the host itself.
		err := f.store.EditResources(t.Context(), store.ResourceQuery{Name: name}, func(found []platform.Resource) error {
			found[0].Status = "AVAILABLE"
			found[0].Detail.Connection.Credentials = &platform.SealedCredentials{Kind: platform.CredentialSSHKey}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		using := func(repository string) string {
			return strings.Replace(f.codeOf(repository, arn), "webapp", name+"-app", 1)
		}
		f.call("CreateService", using("git@"+host+":ada/app.git"))
		for _, elsewhere := range []string{"git@git.lan:ada/app.git", "http://" + host + "/ada/app", "https://" + host + "/ada/app"} {
			f.refused("CreateService", using(elsewhere), "InvalidRequestException", 400)
		}
		// A key for the URL that the service has is read before anyone is asked.
		got := f.authorize(fmt.Sprintf(`"ConnectionName":%q,"SshPrivateKey":"k"`, name))
		if got.status != 400 || !strings.Contains(got.body, "this is not a private SSH key") {
			t.Errorf("%s: %d %s", provider, got.status, got.body)
		}
		if got := f.authorize(fmt.Sprintf(`"ConnectionName":%q%s`, name, withToken("t"))); got.status != 400 || !strings.Contains(got.body, name+"-app, which uses it") {
			t.Errorf("%s: %d %s", provider, got.status, got.body)
		}
	}
}
