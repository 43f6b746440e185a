package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apron-run/apron/cmd/apron/internal/client"
	"github.com/apron-run/apron/internal/app"
	"github.com/apron-run/apron/internal/platform"
)

func TestWrongUsageExitsWith2AndSaysWhereToLook(t *testing.T) {
	newFakeAPI(t)
	for _, arguments := range [][]string{
		{"nothing"}, {"services", "--nope"}, {"service"}, {"service", "a", "b"}, {"logs", "x", "--build", "--events"},
		{"logs", "x", "--number", "-1"}, {"services", "--output", "xml"}, {"serve", "x"}, {"serve", "--region", "here"},
		{"operations"}, {"network", "make"}, {"network", "create"}, {"network", "create", "a", "--port", "x"}, {"network", "update", "a"}, {"doctor", "--data", "/" + strings.Repeat("d", 100)}, {"serve", "--config", "/nowhere.yaml"},
	} {
		apron(t, arguments...).expect(t, 2, "apron: ")
	}
	apron(t, "service").expect(t, 2, "See `apron service --help`.")
	apron(t, "pauze", "x").expect(t, 2, "`apron pause`")
}

func TestEveryVerbHasHelpWithExamples(t *testing.T) {
	root := newRoot(&shell{})
	for _, command := range root.Commands() {
		if command.Name() == "help" || command.Name() == "completion" {
			continue
		}
		if command.Short == "" || !strings.Contains(command.Example, "apron "+command.Name()) {
			t.Errorf("apron %s has no help with an example", command.Name())
		}
	}
	apron(t).expect(t, 0, "apron deploy .")
	apron(t, "deploy", "--help").expect(t, 0, "Examples:", "--runtime string ", "--secret stringArray ", "--build-secret stringArray ")
}

func TestEnvPrintsWhatAShellCanEvaluate(t *testing.T) {
	newFakeAPI(t)
	dir := filepath.Join(t.TempDir(), "it's data")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	content := "[default]\naws_access_key_id = AKIATEST\naws_secret_access_key = a/b+c$(touch x)\n"
	if err := os.WriteFile(filepath.Join(dir, app.CredentialsFile), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	printed := apron(t, "env", "--data", dir)
	printed.expect(t, 0)
	shell := exec.Command("sh", "-euc", printed.out+`printf '%s|' "$AWS_ENDPOINT_URL" "$AWS_REGION" "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY"`)
	got, err := shell.Output()
	if want := "http://127.0.0.1:8700|us-east-1|AKIATEST|a/b+c$(touch x)|"; err != nil || string(got) != want {
		t.Errorf("a shell sees %q (%v), want %q", got, err, want)
	}
	var values map[string]string
	if err := json.Unmarshal([]byte(apron(t, "env", "--data", dir, "--output", "json").out), &values); err != nil || values["AWS_ACCESS_KEY_ID"] != "AKIATEST" {
		t.Errorf("the JSON is %v (%v)", values, err)
	}
	config := app.Default()
	config.DataDir, config.APIAddr, config.Region = dir, "127.0.0.1:9999", "eu-west-1"
	claim, err := app.TakeClaim(config)
	if err != nil {
		t.Fatal(err)
	}
	defer claim.Release()
	apron(t, "env", "--data", dir).expect(t, 0, "'http://127.0.0.1:9999'", "'eu-west-1'")
	apron(t, "env", "--data", filepath.Join(dir, "none")).expect(t, 1, "no apron was ever started", "apron serve --detach")
}

func TestTheNamedApronIsAsked(t *testing.T) {
	fake := newFakeAPI(t)
	dir := t.TempDir()
	content := "[default]\naws_access_key_id = " + fake.keys.ID + "\naws_secret_access_key = x\n"
	if err := os.WriteFile(filepath.Join(dir, app.CredentialsFile), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	connected := func() client.Client {
		t.Helper()
		found, err := (&shell{}).connect()
		if err != nil {
			t.Fatal(err)
		}
		return *found
	}
	named := connected()
	if named.Endpoint() != fake.url {
		t.Errorf("the variables name %s, and %s is asked", fake.url, named.Endpoint())
	}
	t.Setenv("APRON_DATA", dir)
	named = connected()
	if named.Endpoint() != "http://127.0.0.1:8700" {
		t.Errorf("APRON_DATA must win over the AWS variables, but %s is asked", named.Endpoint())
	}
	t.Setenv("AWS_ENDPOINT_URL", "")
	named = connected()
	if _, password := named.Credentials(); password != "x" {
		t.Error("keys of AWS are taken without an endpoint of ours")
	}
	t.Setenv("APRON_DATA", "")
	t.Setenv("AWS_ENDPOINT_URL", "nonsense")
	apron(t, "services").expect(t, 2, "no http URL")
}

func TestServicesAndOneService(t *testing.T) {
	fake := newFakeAPI(t)
	apron(t, "services").expect(t, 0, "There is no service yet", "apron deploy DIR")
	apron(t, "services", "-o", "json").expect(t, 0, "[]")
	apron(t, "deploy", python(t)).expect(t, 0)
	apron(t, "services").expect(t, 0, "NAME", "shop", "RUNNING", fake.url)
	arn := fake.services[0]["ServiceArn"].(string)
	for _, name := range []string{"shop", arn} {
		apron(t, "service", name).expect(t, 0, "1024 CPU units, 2048 MB", fake.url+"/git/shop.git (branch main)", "10.1.2.3:8080",
			"CREATE_SERVICE SUCCEEDED", arn, "4 of 1 to 25, 0 frozen", "12 running, 3 waiting", "15 requests at once (")
	}
	var all map[string]any
	if err := json.Unmarshal([]byte(apron(t, "service", "shop", "-o", "json").out), &all); err != nil || all["Instances"] == nil {
		t.Errorf("the JSON is %v (%v)", all, err)
	}
	fake.services[0]["Tags"] = []any{
		map[string]any{"Key": "apron:allow-ips", "Value": "10.0.0.0/8 ::1"}, map[string]any{"Key": "apron:min-size", "Value": "0"}, map[string]any{"Key": "team", "Value": "a"},
	}
	shown := apron(t, "service", "shop")
	shown.expect(t, 0, "Settings", "  apron:allow-ips=10.0.0.0/8 ::1\n", "  apron:min-size=0\n")
	if strings.Contains(shown.out, "team") {
		t.Errorf("tags that are not apron's are settings: %s", shown.out)
	}
	apron(t, "service", "other").expect(t, 1, "no such service: other", "apron services")
	apron(t, "open", "shop").expect(t, 0, fake.url)
}

func TestTheURLOfAServiceIsByHTTPSWhereApronServesThat(t *testing.T) {
	fake := newFakeAPI(t)
	fake.httpsPort = 8443
	const secure = "https://127.0.0.1:8443"
	apron(t, "deploy", python(t), "--ask").expect(t, 0, "shop is live at "+secure+"\n", "It answers (200 OK)", "apron ca ", "without TLS it is at "+fake.url)
	apron(t, "services").expect(t, 0, secure)
	apron(t, "service", "shop").expect(t, 0, secure+"\n", fake.url+"\n")
	apron(t, "open", "shop").expect(t, 0, secure+"\n")
	apron(t, "open", "shop", "--http").expect(t, 0, fake.url+"\n")
	var outcome struct{ URL, PlainURL string }
	err := json.Unmarshal([]byte(apron(t, "deploy", python(t), "-o", "json").out), &outcome)
	if err != nil || outcome.URL != secure || outcome.PlainURL != fake.url {
		t.Errorf("deploy tells programs %+v (%v)", outcome, err)
	}
}

func TestOperationsAndOneOperation(t *testing.T) {
	fake := newFakeAPI(t)
	dir := python(t)
	apron(t, "deploy", dir).expect(t, 0)
	fake.failNext = "It broke."
	apron(t, "deploy", dir).expect(t, 1)
	const failed = "00000000000000000000000000000002"
	apron(t, "operations", "shop").expect(t, 0, "START_DEPLOYMENT", "ROLLBACK_SUCCEEDED", "CREATE_SERVICE", "2.2 s",
		"  ↳ It broke.\n", "apron operation ID")
	apron(t, "operation", failed).expect(t, 0, "START_DEPLOYMENT of shop: ROLLBACK_SUCCEEDED in 3.0 s", "✓ build", "\nIt broke.\n", "  +0.1 s: it ended", "│ line two",
		"To try: Mend it.", "apron logs shop --deployment "+failed)
	apron(t, "operation", "00000").expect(t, 0, failed) // the newest of those that begin so
	apron(t, "operation", "12345").expect(t, 1, "apron: there is no operation 12345\n  `apron operations NAME` lists")
	apron(t, "service", "shop").expect(t, 0, "ROLLBACK_SUCCEEDED", "It broke.")
	apron(t, "operations", "shop", "-n", "1").expect(t, 0, "START_DEPLOYMENT")
	apron(t, "operations", "shop", failed).expect(t, 0, "ROLLBACK_SUCCEEDED", "✓ build", "It broke.", "│ line one")
	var list []map[string]any
	if err := json.Unmarshal([]byte(apron(t, "operations", "shop", "-o", "json").out), &list); err != nil || len(list) != 2 {
		t.Errorf("the JSON has %d operations (%v)", len(list), err)
	}
}

func TestPauseResumeAndDelete(t *testing.T) {
	newFakeAPI(t)
	apron(t, "deploy", python(t)).expect(t, 0)
	apron(t, "pause", "shop").expect(t, 0, "shop is paused.")
	apron(t, "resume", "shop").expect(t, 0, "shop runs already.")
	apron(t, "delete", "shop", "--no-wait").expect(t, 0, "shop is in operation")
}

func TestARepositoryOutlivesItsServiceUntilItIsToGo(t *testing.T) {
	fake := newFakeAPI(t)
	repository := filepath.Join(fake.repositories, "shop.git")
	isThere := func() bool {
		_, err := os.Stat(repository)
		return err == nil
	}
	dir := python(t)
	apron(t, "deploy", dir).expect(t, 0)
	apron(t, "delete", "shop", "--repository", "--no-wait").expect(t, 2, "repository")
	apron(t, "delete", "shop").expect(t, 0, "shop is deleted.", "`apron delete shop --repository` removes it")
	if !isThere() {
		t.Error("the repository went with the service")
	}
	apron(t, "delete", "shop").expect(t, 1, "no such service")
	apron(t, "delete", "shop", "--repository").expect(t, 0, "The repository shop is removed.")
	apron(t, "delete", "shop", "--repository").expect(t, 1, "there is neither a service nor a repository shop")
	apron(t, "delete", "../shop", "--repository").expect(t, 1, "no such service")
	apron(t, "deploy", dir).expect(t, 0)
	apron(t, "deploy", "--image", "docker.io/library/nginx:1", "--name", "image").expect(t, 0)
	apron(t, "delete", "image", "--repository").expect(t, 1, "image has no repository on apron's Git server")
	fake.mu.Lock()
	last := len(fake.services) - 1
	fake.services[last]["SourceConfiguration"] = fake.services[last-1]["SourceConfiguration"]
	fake.mu.Unlock()
	apron(t, "delete", "shop", "--repository").expect(t, 1, "the service image is deployed from the repository shop")
	if !isThere() {
		t.Error("the repository was removed")
	}
}

func TestARefusalOfTheAPICarriesANextStep(t *testing.T) {
	fake := newFakeAPI(t)
	apron(t, "deploy", python(t)).expect(t, 0)
	fake.refuse["PauseService"] = "InvalidStateException: Service cannot be paused in the current state: OPERATION_IN_PROGRESS."
	apron(t, "pause", "shop").expect(t, 1, "apron: Service cannot be paused", "apron operations NAME")
	for _, arguments := range [][]string{{"operations", "shop", "x"}, {"logs", "shop", "--deployment", "x"}, {"logs", "shop", "-f", "--deployment", "x"}, {"cancel", "shop", "x"}} {
		for _, refusal := range []string{"ResourceNotFoundException: There is none.", "InvalidRequestException: OperationId has 1 characters."} {
			fake.refuse["DescribeOperation"] = refusal
			apron(t, arguments...).expect(t, 1, "apron: there is no operation x of shop\n  `apron operations shop` lists")
		}
	}
	apron(t, "logs", "shop", "--instance", "x").expect(t, 1, "apron: there is no instance x of shop\n  `apron service shop` lists")
	fake.refuse["ReadLogs"] = "UnknownOperationException: "
	apron(t, "logs", "shop").expect(t, 1, "UnknownOperationException", "older")
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAOTHER")
	apron(t, "services").expect(t, 1, "security token", "apron env")
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
	apron(t, "services").expect(t, 1, "no apron answers at 127.0.0.1:1", "apron serve --detach")
}

func TestAnApronThatHangsIsToldWithWhatGoesOn(t *testing.T) {
	text, advice := explain(fmt.Errorf("list the services: %w", &url.Error{Op: "Post", URL: "http://127.0.0.1:8700/", Err: os.ErrDeadlineExceeded}))
	if text != "apron at 127.0.0.1:8700 took too long to answer" || !strings.Contains(advice, "Services go on answering") {
		t.Errorf("it says %q and advises %q", text, advice)
	}
}

func TestATakenPortIsNotToldAsAnApronThatIsMissing(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, err = net.Listen("tcp", taken.Addr().String())
	text, advice := explain(fmt.Errorf("the API cannot answer on %s: %w; choose another address with --api", taken.Addr(), err))
	if !strings.Contains(text, "choose another address with --api") || advice != "" {
		t.Errorf("it says %q and advises %q", text, advice)
	}
}

func TestADatabaseThatDoesNotAnswerIsNotTakenForAnApron(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	text, _ := explain(fmt.Errorf("serve: %w", platform.Explain(refused, "The database apron on db:5432 cannot be reached.")))
	if text != "serve: The database apron on db:5432 cannot be reached." {
		t.Errorf("it says %q", text)
	}
}

func TestLogsShowLinesAndJSON(t *testing.T) {
	fake := newFakeAPI(t)
	apron(t, "deploy", python(t)).expect(t, 0)
	apron(t, "logs", "shop").expect(t, 0, "  Collecting flask\n", "  Built red\n")
	apron(t, "logs", "shop", "--build").expect(t, 0, "Collecting flask")
	asked := fake.did("ReadLogs")
	if last := asked[len(asked)-1]; last["Stream"] != "deployment/00000000000000000000000000000001" || last["NextToken"] != "start" {
		t.Errorf("--build asks for %v", last)
	}
	lines := strings.Split(strings.TrimSpace(apron(t, "logs", "shop", "-o", "json").out), "\n")
	var line map[string]any
	if err := json.Unmarshal([]byte(lines[1]), &line); err != nil || line["Message"] != "Built \x1b[31mred\x1b[0m" {
		t.Errorf("the second line is %v (%v)", line, err)
	}
	fake.lines = nil
	apron(t, "logs", "shop").expect(t, 0, "nothing in this log")
}

func TestTheAccessLogIsShownForPeopleAndAsItIs(t *testing.T) {
	fake := newFakeAPI(t)
	apron(t, "deploy", python(t)).expect(t, 0)
	const line = `{"time":"2026-11-26T07:00:00.000000Z","service_id":"a","client":"10.0.0.9","method":"GET","host":"shop.test","path":"/a\u000ab\u001b[31m",` +
		`"status":504,"response_bytes":120,"duration_ms":120000.500,"queue_ms":12.300,"user_agent":"curl","problem":"The service shop did not answer within 2m0s."}`
	fake.lines = []string{line, `{"time":"2026-11-26T07:00:00.000000Z","lost":7,"problem":"The disk was full."}`, "no line"}
	apron(t, "logs", "shop", "--access").expect(t, 0,
		"  504 GET /ab  120000.5 ms  120 B  10.0.0.9  shop.test  waited 12 ms  The service shop did not answer within 2m0s.\n",
		"7 lines are missing here. The disk was full.\n", "no line\n")
	shown := apron(t, "logs", "shop", "--access", "-o", "json").out
	if first, _, _ := strings.Cut(shown, "\n"); first != line {
		t.Errorf("as JSON it is %s", first)
	}
}

// An app that prints faster than its log is read would have no last line.
func TestLogsFromTheBeginningEndWithWhatWasThere(t *testing.T) {
	fake := newFakeAPI(t)
	apron(t, "deploy", python(t), "--quiet").expect(t, 0)
	fake.mu.Lock()
	fake.isEndless = true
	fake.mu.Unlock()
	apron(t, "logs", "shop", "-n", "0").expect(t, 0, "again")
	if asked := len(fake.did("ReadLogs")); asked > 4 {
		t.Errorf("the log was asked for %d times", asked)
	}
}

func TestAPrivateServiceIsShownWithTheNamesThatLeadToIt(t *testing.T) {
	fake := newFakeAPI(t)
	apron(t, "deploy", python(t)).expect(t, 0)
	service := fake.services[0]
	service["ServiceUrl"], service["NetworkConfiguration"] = nil, map[string]any{"IngressConfiguration": map[string]any{"IsPubliclyAccessible": false}}
	apron(t, "service", "shop").expect(t, 0, "Private", "reached by nobody", "create-vpc-ingress-connection")
	fake.ingress = []map[string]any{{"VpcIngressConnectionArn": "arn:aws:apprunner:us-east-1:000000000000:vpcingressconnection/in/8fe1e10304f84fd2b0df550fe98a71fa"}}
	apron(t, "service", "shop").expect(t, 0, "Private", "inside.vpce.apron.test, at --private-http")
}

func TestARepositorysPasswordIsNotShown(t *testing.T) {
	fake := newFakeAPI(t)
	apron(t, "deploy", python(t)).expect(t, 0)
	fake.services[0]["SourceConfiguration"].(map[string]any)["CodeRepository"].(map[string]any)["RepositoryUrl"] = "https://me:secret@git.test/shop.git"
	shown := apron(t, "service", "shop")
	shown.expect(t, 0, "https://git.test/shop.git (branch main)")
	if strings.Contains(shown.out, "secret") {
		t.Errorf("the password is shown:\n%s", shown.out)
	}
}

func TestLogsFollowUntilTheDeploymentIsOver(t *testing.T) {
	fake := newFakeAPI(t)
	apron(t, "deploy", python(t), "--no-wait").expect(t, 0)
	apron(t, "logs", "shop", "--build", "-f").expect(t, 0, "Collecting flask")
	if operation := fake.operations[0]; !operation.ended {
		t.Error("logs -f ended before the deployment")
	}
}

func TestLogsFollowUntilInterrupted(t *testing.T) {
	fake := newFakeAPI(t)
	apron(t, "deploy", python(t)).expect(t, 0)
	ctx, interrupt := context.WithCancel(t.Context())
	var out, problems lockedBuffer
	ended := make(chan int)
	go func() { ended <- run(ctx, []string{"logs", "shop", "-f"}, strings.NewReader(""), &out, &problems) }()
	await(t, func() bool { return strings.Contains(out.String(), "Built red") })
	fake.mu.Lock()
	fake.lines = append(fake.lines, "a new line")
	fake.mu.Unlock()
	await(t, func() bool { return strings.Contains(out.String(), "a new line") })
	interrupt()
	if code := <-ended; code != 0 || strings.Count(out.String(), "Collecting") != 1 {
		t.Errorf("the exit code is %d, the output\n%s%s", code, out.String(), problems.String())
	}
}

// await waits until a condition holds.
func await(t *testing.T, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
	}
}
