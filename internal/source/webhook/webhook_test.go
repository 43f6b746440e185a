package webhook

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/internal/platform"
)

const (
	commit = "2222222222222222222222222222222222222222"
	secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="
)

// world is a Handler with two services, and what it has handed on.
type world struct {
	*Handler
	hints  map[platform.ServiceID]Hint
	events []string
}

func newWorld() *world {
	w := &world{hints: map[platform.ServiceID]Hint{}}
	code := platform.Service{ID: "code", Name: "shop"}
	code.Configuration.Source = platform.Source{IsAutoDeployed: true, Code: &platform.CodeSource{RepositoryURL: "https://git.test/ada/app", Branch: "main"}}
	image := platform.Service{ID: "image", Name: "stall"}
	image.Configuration.Source = platform.Source{IsAutoDeployed: true, Image: &platform.ImageSource{Identifier: "registry.test/ada/app:live"}}
	byHand := code
	byHand.ID, byHand.Configuration.Source.IsAutoDeployed = "byhand", false
	targets := map[platform.ServiceID]Target{"code": {code, secret, ""}, "image": {image, secret, "live"}, "byhand": {byHand, secret, ""}}
	w.Handler = New(Config{
		Target: func(_ context.Context, id platform.ServiceID) (Target, bool, error) {
			if id == "fault" {
				return Target{}, false, errors.New("the database is away")
			}
			target, isThere := targets[id]
			return target, isThere, nil
		},
		Hint: func(id platform.ServiceID, hint Hint) { w.hints[id] = hint },
		Event: func(id platform.ServiceID, format string, args ...any) {
			w.events = append(w.events, fmt.Sprintf(string(id)+": "+format, args...))
		},
		Log: slog.New(slog.DiscardHandler),
	})
	return w
}

// call makes a call and returns the answer.
func (w *world) call(path string, header http.Header, body string) (status int, sentence string) {
	request := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	for name, values := range header {
		request.Header[name] = values
	}
	recorder := httptest.NewRecorder()
	w.ServeHTTP(recorder, request)
	return recorder.Code, strings.TrimSuffix(recorder.Body.String(), "\n")
}

// readCall reads a call as its host documents it: headers, an empty line, the body.
func readCall(t testing.TB, name string) (http.Header, string) {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	reader := bufio.NewReader(file)
	header, err := textproto.NewReader(reader).ReadMIMEHeader()
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	body, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return http.Header(header), strings.TrimSuffix(string(body), "\n")
}

func TestACallOfEachHostIsAHintForTheServicesThatItIsAbout(t *testing.T) {
	push := func(from string) *Hint { return &Hint{What: "push of main by ada", From: from, Commit: commit} }
	forced := func(from string) *Hint { return &Hint{What: "forced push of main by ada", From: from, Commit: commit} }
	deleted := func(from string) *Hint { return &Hint{What: "deletion of main by ada", From: from, IsDeleted: true} }
	image := func(from string) *Hint { return &Hint{What: "push of registry.test/ada/app:live by ada", From: from} }
	nameless := func(from string) *Hint { return &Hint{What: "push of registry.test/ada/app:live", From: from} }
	anything := &Hint{What: "call of the webhook"}
	const nothing, works, taken = "Nothing to do", "It works", "deploys the service"
	for name, want := range map[string]struct {
		code, image *Hint
		answer      string
	}{
		"github-push":              {push("GitHub"), nil, taken},
		"github-push-form":         {push("GitHub"), nil, taken},
		"github-push-other-branch": {nil, nil, nothing},
		"github-push-tag":          {nil, nil, nothing},
		"github-push-forced":       {forced("GitHub"), nil, taken},
		"github-push-deleted":      {deleted("GitHub"), nil, taken},
		"github-ping":              {nil, nil, works},
		"github-star":              {nil, nil, nothing},
		"github-package":           {nil, image("GitHub"), taken},
		"github-registry-package":  {nil, image("GitHub"), taken},
		"gitlab-push":              {push("GitLab"), nil, taken},
		"gitlab-push-deleted":      {deleted("GitLab"), nil, taken},
		"gitlab-system-push":       {push("GitLab"), nil, taken},
		"gitlab-tag-push":          {nil, nil, nothing},
		"gitea-push":               {push("Gitea"), nil, taken},
		"gitea-delete":             {deleted("Gitea"), nil, taken},
		"gitea-package":            {nil, image("Gitea"), taken},
		"forgejo-push":             {push("Forgejo"), nil, taken},
		"bitbucket-push":           {push("Bitbucket"), nil, taken},
		"bitbucket-push-forced":    {forced("Bitbucket"), nil, taken},
		"bitbucket-push-deleted":   {deleted("Bitbucket"), nil, taken},
		"bitbucket-push-tag":       {nil, nil, nothing},
		"bitbucket-server-push":    {push("Bitbucket"), nil, taken},
		"bitbucket-server-deleted": {deleted("Bitbucket"), nil, taken},
		"bitbucket-server-ping":    {nil, nil, works},
		"dockerhub-push":           {nil, image("Docker Hub"), taken},
		"dockerhub-push-other-tag": {nil, nil, nothing},
		"quay-push":                {nil, nameless("Quay"), taken},
		"quay-push-old":            {nil, nameless("Quay"), taken},
		"harbor-push":              {nil, image("Harbor"), taken},
		"harbor-pull":              {nil, nil, nothing},
		"harbor-cloudevent":        {nil, image("Harbor"), taken},
		"distribution-push":        {nil, image("a registry"), taken},
		"distribution-pull":        {nil, nil, nothing},
		"azure-push":               {nil, nameless("Azure"), taken},
		"ecr-eventbridge":          {nil, nameless("Amazon ECR"), taken},
		"ecr-sns":                  {nil, nameless("Amazon ECR"), taken},
		"sns-confirmation":         {nil, nil, "The event log of the service has the address that confirms this."},
		"generic":                  {anything, anything, taken},
		"generic-empty":            {anything, anything, taken},
	} {
		t.Run(name, func(t *testing.T) {
			header, body := readCall(t, name)
			w := newWorld()
			hints, answers := map[platform.ServiceID]Hint{}, ""
			for id, hint := range map[platform.ServiceID]*Hint{"code": want.code, "image": want.image} {
				status, answer := w.call(Path+string(id)+"/"+secret, header, body)
				answers += answer + "\n"
				if hint != nil {
					hints[id] = *hint
				}
				if isTaken := status == http.StatusAccepted; isTaken != (hint != nil) || !isTaken && status != http.StatusOK {
					t.Errorf("%s: %d %s", id, status, answer)
				}
			}
			if diff := cmp.Diff(hints, w.hints); diff != "" {
				t.Errorf("hints (-want +got):\n%s", diff)
			}
			if !strings.Contains(answers, want.answer) {
				t.Errorf("answered %q, want %q", answers, want.answer)
			}
			if _, answer := w.call(Path+"byhand/"+secret, header, body); want.code != nil && !strings.Contains(answer, "AutoDeploymentsEnabled") {
				t.Errorf("for a service that is deployed by hand: %q", answer)
			}
		})
	}
}

func TestAPersonConfirmsASubscriptionOfAmazons(t *testing.T) {
	header, body := readCall(t, "sns-confirmation")
	w := newWorld()
	w.call(Path+"image/"+secret, header, body)
	want := []string{"image: To let Amazon SNS call the webhook, open https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&Token=2336412f37"}
	if diff := cmp.Diff(want, w.events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	for _, address := range []string{"http://sns.us-west-2.amazonaws.com/", "https://evil.test/amazonaws.com", "https://amazonaws.com.evil.test/"} {
		status, answer := w.call(Path+"image/"+secret, header, strings.ReplaceAll(body, "https://sns.us-west-2.amazonaws.com/?Action=Conf", address+"?Action=Conf"))
		if status != http.StatusBadRequest || len(w.events) != 1 {
			t.Errorf("%s: %d %s, %q", address, status, answer, w.events)
		}
	}
}

func TestACallProvesThatItKnowsTheSecret(t *testing.T) {
	const body = `{}`
	hmacOf := func(body, key string) string { return hex.EncodeToString(sign([]byte(body), []byte(key))) }
	standard := func(body, secret string, at time.Time) http.Header {
		key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, secretPrefix))
		id, timestamp := "msg_1", strconv.FormatInt(at.Unix(), 10)
		signature := base64.StdEncoding.EncodeToString(sign([]byte(id+"."+timestamp+"."+body), key))
		return http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {timestamp}, "Webhook-Signature": {"v1,AAAA v1a,xyz v1," + signature}}
	}
	basic := func(password string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte("any:"+password))
	}
	other := newSecret()
	for name, test := range map[string]struct {
		header http.Header
		path   string
		isGood bool
	}{
		"GitHub":                        {http.Header{"X-Hub-Signature-256": {"sha256=" + hmacOf(body, secret)}}, "", true},
		"our own client":                {Sign([]byte(body), secret), "", true},
		"Bitbucket":                     {http.Header{"X-Hub-Signature": {"sha256=" + hmacOf(body, secret)}}, "", true},
		"Gitea":                         {http.Header{"X-Gitea-Signature": {hmacOf(body, secret)}}, "", true},
		"Forgejo":                       {http.Header{"X-Forgejo-Signature": {hmacOf(body, secret)}}, "", true},
		"GitLab's token":                {http.Header{"X-Gitlab-Token": {secret}}, "", true},
		"GitLab's signature":            {standard(body, secret, time.Now()), "", true},
		"a bearer":                      {http.Header{"Authorization": {"Bearer " + secret}}, "", true},
		"basic":                         {http.Header{"Authorization": {basic(secret)}}, "", true},
		"Harbor":                        {http.Header{"Authorization": {secret}}, "", true},
		"in the path":                   {nil, "/" + secret, true},
		"nothing":                       {nil, "", false},
		"another key":                   {http.Header{"X-Hub-Signature-256": {"sha256=" + hmacOf(body, other)}}, "", false},
		"another body":                  {http.Header{"X-Hub-Signature-256": {"sha256=" + hmacOf(`{"a":1}`, secret)}}, "", false},
		"no key":                        {http.Header{"X-Hub-Signature-256": {"sha256=" + hmacOf(body, "")}}, "", false},
		"SHA-1":                         {http.Header{"X-Hub-Signature": {"sha1=" + hmacOf(body, secret)}}, "", false},
		"no hex":                        {http.Header{"X-Gitea-Signature": {"xyz"}}, "", false},
		"empty headers":                 {http.Header{"X-Gitlab-Token": {""}, "X-Gitea-Signature": {""}, "Authorization": {""}}, "/", false},
		"another token":                 {http.Header{"X-Gitlab-Token": {other}}, "", false},
		"a part of the token":           {http.Header{"X-Gitlab-Token": {secret[:20]}}, "", false},
		"another bearer":                {http.Header{"Authorization": {"Bearer " + other}}, "", false},
		"basic with another":            {http.Header{"Authorization": {basic(other)}}, "", false},
		"basic that is none":            {http.Header{"Authorization": {"Basic ***"}}, "", false},
		"another scheme":                {http.Header{"Authorization": {"Digest " + secret}}, "", false},
		"another path":                  {nil, "/" + other, false},
		"GitLab's signature, too old":   {standard(body, secret, time.Now().Add(-time.Hour)), "", false},
		"GitLab's signature, too early": {standard(body, secret, time.Now().Add(time.Hour)), "", false},
		"GitLab's signature, other key": {standard(body, other, time.Now()), "", false},
	} {
		w := newWorld()
		status, answer := w.call(Path+"code"+test.path, test.header, body)
		if isGood := status == http.StatusAccepted; isGood != test.isGood || len(w.hints) > 0 != test.isGood {
			t.Errorf("%s: %d %s", name, status, answer)
		}
		if !test.isGood && (status != http.StatusUnauthorized || answer != "The secret or the signature is missing or wrong.") {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
}

func TestStrangersAreToldNothing(t *testing.T) {
	w := newWorld()
	for path, want := range map[string]int{
		Path + "none": http.StatusNotFound, Path: http.StatusNotFound, Path + "none/" + secret: http.StatusNotFound,
		Path + "code": http.StatusUnauthorized, Path + "fault": http.StatusInternalServerError,
	} {
		status, answer := w.call(path, nil, `{"ref":"refs/heads/main"}`)
		if status != want || strings.Contains(answer, "shop") || strings.Contains(answer, "database") {
			t.Errorf("%s: %d %s, want %d", path, status, answer, want)
		}
	}
	recorder := httptest.NewRecorder()
	w.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, Path+"code/"+secret, nil))
	if recorder.Code != http.StatusMethodNotAllowed || recorder.Header().Get("Allow") != http.MethodPost {
		t.Errorf("GET: %d", recorder.Code)
	}
	if len(w.hints) > 0 {
		t.Errorf("hints of strangers: %v", w.hints)
	}
}

func TestCallsAreBounded(t *testing.T) {
	w := newWorld()
	if status, answer := w.call(Path+"code/"+secret, nil, strings.Repeat(" ", maxBody+1)); status != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body: %d %s", status, answer)
	}
	for _, body := range []string{"{", "[]", `"text"`, "null", `{"push_data":7,"repository":{}}`, strings.Repeat("[", 1<<20)} {
		if status, answer := w.call(Path+"code/"+secret, nil, body); status != http.StatusBadRequest || !strings.Contains(answer, "cannot be read") {
			t.Errorf("%.40s: %d %s", body, status, answer)
		}
	}
	for range maxCalls {
		w.Handler.calls <- struct{}{}
	}
	if status, answer := w.call(Path+"code/"+secret, nil, "{}"); status != http.StatusServiceUnavailable {
		t.Errorf("one call too many: %d %s", status, answer)
	}
}

func TestWhoPushedIsShownAsText(t *testing.T) {
	w := newWorld()
	body := fmt.Sprintf(`{"ref":"refs/heads/main","after":%q,"pusher":{"name":%q}}`, commit, "ada\n[AppRunner] \x1b[31m"+strings.Repeat("é", 100))
	w.call(Path+"code/"+secret, http.Header{"X-Github-Event": {"push"}}, body)
	if what := w.hints["code"].What; strings.ContainsAny(what, "\n\x1b") || len([]rune(what)) > len("push of main by ")+maxName {
		t.Errorf("it is %q", what)
	}
}

// keeper keeps what one service has, as the store does.
type keeper struct{ kept string }

func (k *keeper) keep(_ context.Context, _ platform.ServiceID, sealed, before string) (string, error) {
	if k.kept == before {
		k.kept = sealed
	}
	return k.kept, nil
}

func TestASecretIsMadeOnDemandAndRenewed(t *testing.T) {
	kept := &keeper{}
	secrets := Secrets{
		Seal: func(purpose string, plain []byte) []byte { return []byte(purpose + "\x00" + string(plain)) },
		Open: func(purpose string, sealed []byte) ([]byte, error) {
			plain, isOurs := strings.CutPrefix(string(sealed), purpose+"\x00")
			if !isOurs {
				return nil, errors.New("another key's")
			}
			return []byte(plain), nil
		},
		Keep: kept.keep,
	}
	service := platform.Service{ID: "code", Name: "shop", ARN: "arn:shop"}
	get := func(renew bool) string {
		t.Helper()
		got, err := secrets.Secret(t.Context(), service, renew)
		if err != nil {
			t.Fatal(err)
		}
		service.Webhook = kept.kept
		return got
	}
	first := get(false)
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(first, secretPrefix))
	if err != nil || len(raw) != 32 || strings.ContainsAny(first, "+/") {
		t.Errorf("the secret is %q", first)
	}
	if again := get(false); again != first {
		t.Errorf("asked again it is %q", again)
	}
	stale := service
	second := get(true)
	if second == first {
		t.Error("it was not renewed")
	}
	// Two that renew it at a time get the same.
	if third, err := secrets.Secret(t.Context(), stale, true); err != nil || third != second {
		t.Errorf("who comes second gets %q, %v", third, err)
	}
	stale.ARN = "arn:other"
	if _, err := secrets.Of(stale); platform.AsExplained(err) == nil || !strings.Contains(err.Error(), "--rotate") {
		t.Errorf("sealed for another: %v", err)
	}
	if got := URL("https://deploy.test/apron/", "code", second); got != "https://deploy.test/apron/webhooks/code/"+second {
		t.Errorf("the URL is %s", got)
	}
}
