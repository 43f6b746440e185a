package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/cmd/apron/internal/client"
)

// folder makes a folder of files.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "shop")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		change(t, dir, name, content)
	}
	return dir
}

func change(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func python(t *testing.T) string {
	t.Helper()
	return folder(t, map[string]string{"apprunner.yaml": "version: 1.0\n", "app.py": "print()"})
}

func TestDeployCreatesTheServiceAndSaysWhereItIs(t *testing.T) {
	fake := newFakeAPI(t)
	done := apron(t, "deploy", python(t), "--ask", "--cpu", "0.5", "--memory", "1")
	done.expect(t, 0, "shop is live at "+fake.url, "✓ resolve", "✓ build", "detail of build", "│ Collecting flask", "│ Built red",
		"It answers (200 OK): Hello from the app\n", "apron logs shop -f")
	if strings.Contains(done.out+done.problems, "\x1b") {
		t.Errorf("the output steers the terminal: %q", done.problems)
	}
	want := []map[string]any{{
		"ServiceName": "shop",
		"SourceConfiguration": map[string]any{
			"AutoDeploymentsEnabled": true,
			"CodeRepository": map[string]any{
				"RepositoryUrl":     fake.url + "/git/shop.git",
				"SourceCodeVersion": map[string]any{"Type": "BRANCH", "Value": "main"},
				"CodeConfiguration": map[string]any{"ConfigurationSource": "REPOSITORY"},
			},
		},
		"InstanceConfiguration": map[string]any{"Cpu": "0.5 vCPU", "Memory": "1 GB"},
	}}
	if diff := cmp.Diff(want, fake.did("CreateService")); diff != "" {
		t.Error(diff)
	}
}

func TestDeployRefusesWrongNumbersBeforeItSendsAnything(t *testing.T) {
	fake := newFakeAPI(t)
	dir := python(t)
	apron(t, "deploy", dir, "--cpu", "3").expect(t, 2, "--cpu 3: want 0.25, 0.5, 1, 2 or 4")
	apron(t, "deploy", dir, "--memory", "1.5 GB").expect(t, 2, "--memory 1.5 GB: want 0.5, 1, 2, 3, 4, 6, 8, 10 or 12")
	apron(t, "deploy", dir, "--port", "abc").expect(t, 2, "--port abc: want a port, which is a number from 1 to 65535")
	apron(t, "deploy", dir, "--runtime", "perl5", "--start", "./app").expect(t, 2, "--runtime perl5: there is no such runtime", "go1")
	if entries, err := os.ReadDir(fake.repositories); err != nil || len(entries) != 0 {
		t.Errorf("the Git server holds %v (%v)", entries, err)
	}
	apron(t, "deploy", dir, "--cpu", "512", "--memory", "1GB").expect(t, 0)
	want := map[string]any{"Cpu": "0.5 vCPU", "Memory": "1 GB"}
	if diff := cmp.Diff(want, fake.did("CreateService")[0]["InstanceConfiguration"]); diff != "" {
		t.Error(diff)
	}
}

func TestDeployAgainDeploysWhatChanged(t *testing.T) {
	fake := newFakeAPI(t)
	dir := python(t)
	apron(t, "deploy", dir).expect(t, 0)
	apron(t, "deploy", dir, "--if-changed").expect(t, 0, "Nothing changed. shop runs at "+fake.url)
	if n := len(fake.did("StartDeployment")); n != 0 {
		t.Errorf("%d deployments of an unchanged folder", n)
	}
	change(t, dir, "app.py", "print('new')")
	apron(t, "deploy", dir, "--if-changed").expect(t, 0, "shop is live", "Sent ")
	apron(t, "deploy", dir).expect(t, 0, "shop is live")
	if n := len(fake.did("StartDeployment")); n != 2 {
		t.Errorf("%d deployments, want one for the change and one that was asked for", n)
	}
}

func TestAFailedDeploymentIsDeployedAgainAlthoughNothingChanged(t *testing.T) {
	fake := newFakeAPI(t)
	dir := python(t)
	apron(t, "deploy", dir).expect(t, 0)
	change(t, dir, "app.py", "broken")
	fake.failNext = "The application listened on no port."
	apron(t, "deploy", dir).expect(t, 1, "the deployment of shop failed: The application listened on no port.",
		"  +0.1 s: it ended", "│ line one", "│ line two", "To try: Mend it.", "Rolled back: the service is as it was before.", "apron logs shop --deployment 00000000000000000000000000000002")
	apron(t, "deploy", dir, "--if-changed").expect(t, 0, "shop is live")
}

func TestAFailedDeploymentIsAlsoToldToPrograms(t *testing.T) {
	fake := newFakeAPI(t)
	fake.failNext = "The build failed."
	done := apron(t, "deploy", python(t), "--output", "json")
	done.expect(t, 1, "the deployment of shop failed: The build failed.")
	var operation struct {
		Status  string
		Failure client.Failure
	}
	if err := json.Unmarshal([]byte(done.out), &operation); err != nil {
		t.Fatalf("%v in %q", err, done.out)
	}
	if operation.Status != "FAILED" || operation.Failure.Cause != "The build failed." {
		t.Errorf("the operation is %+v", operation)
	}
}

func TestDeployMendsAServiceWhoseCreationFailed(t *testing.T) {
	fake := newFakeAPI(t)
	dir := python(t)
	fake.failNext = "The build failed."
	apron(t, "deploy", dir).expect(t, 1, "The build failed.")
	change(t, dir, "app.py", "mended")
	apron(t, "deploy", dir).expect(t, 0, "shop is live")
	if len(fake.did("UpdateService")) != 1 || len(fake.did("StartDeployment")) != 0 {
		t.Error("a service that was never created must be updated, not deployed")
	}
}

func TestDeployFollowsTheDeploymentThatThePushStarted(t *testing.T) {
	fake := newFakeAPI(t)
	dir := python(t)
	apron(t, "deploy", dir).expect(t, 0)
	fake.mu.Lock()
	fake.refuse["StartDeployment"] = "InvalidRequestException: Service is in OPERATION_IN_PROGRESS."
	id := fake.begin(fake.services[0], "START_DEPLOYMENT")
	fake.services[0]["Status"] = "RUNNING" // as it was when deploy looked
	fake.mu.Unlock()
	done := apron(t, "deploy", dir, "--output", "json")
	done.expect(t, 0)
	var said outcome
	if err := json.Unmarshal([]byte(done.out), &said); err != nil || said.OperationID != id || !said.IsChanged || said.IsNew {
		t.Errorf("the outcome is %+v (%v)", said, err)
	}
}

// deploy deploys by itself what it pushes, so that the push must not.
func TestDeploySaysWhichServiceItDeploysItself(t *testing.T) {
	fake := newFakeAPI(t)
	dir := python(t)
	apron(t, "deploy", dir).expect(t, 0)
	fake.mu.Lock()
	defer fake.mu.Unlock()
	if len(fake.pushes) != 1 || fake.pushes[0].Except != "shop" {
		t.Errorf("the pushes are %+v", fake.pushes)
	}
}

// A deployment that was started by somebody else may be of what was there before.
func TestDeployStartsItsOwnDeploymentAfterAnEarlierOne(t *testing.T) {
	fake := newFakeAPI(t)
	dir := python(t)
	apron(t, "deploy", dir).expect(t, 0)
	fake.mu.Lock()
	fake.refuse["StartDeployment"] = "InvalidRequestException: Service is in OPERATION_IN_PROGRESS."
	earlier := fake.begin(fake.services[0], "START_DEPLOYMENT")
	fake.services[0]["Status"] = "RUNNING" // as it was when deploy looked
	fake.mu.Unlock()
	change(t, dir, "app.py", "newer")
	done := apron(t, "deploy", dir, "--output", "json")
	done.expect(t, 0)
	var said outcome
	if err := json.Unmarshal([]byte(done.out), &said); err != nil || said.OperationID == earlier || len(fake.did("StartDeployment")) != 2 {
		t.Errorf("the outcome is %+v (%v)", said, err)
	}
}

func TestDeployWaitsForAnotherOperation(t *testing.T) {
	fake := newFakeAPI(t)
	dir := python(t)
	apron(t, "deploy", dir).expect(t, 0)
	fake.mu.Lock()
	fake.begin(fake.services[0], "UPDATE_SERVICE")
	fake.mu.Unlock()
	apron(t, "deploy", dir).expect(t, 0, "Waiting for the running UPDATE_SERVICE", "shop is live")
}

func TestDeployOutlivesARestartOfApron(t *testing.T) {
	fake := newFakeAPI(t)
	dir := python(t)
	apron(t, "deploy", dir).expect(t, 0)
	apron(t, "deploy", dir, "--no-wait").expect(t, 0, "is being deployed: apron operation 0")
	fake.mu.Lock()
	fake.services[0]["Status"] = "RUNNING"
	fake.mu.Unlock()
	connected, err := (&shell{}).connect()
	if err != nil {
		t.Fatal(err)
	}
	fake.mu.Lock()
	fake.drops = 3
	fake.mu.Unlock()
	operation, err := (&shell{err: &strings.Builder{}}).follow(t.Context(), connected, fake.services[0]["ServiceArn"].(string),
		"00000000000000000000000000000002", false)
	if err != nil || !operation.HasSucceeded() {
		t.Errorf("the operation is %+v (%v)", operation, err)
	}
}

func TestDeployWithADockerfile(t *testing.T) {
	fake := newFakeAPI(t)
	dir := folder(t, map[string]string{"Dockerfile": "FROM scratch\n"})
	apron(t, "deploy", dir, "--name", "first").expect(t, 0)
	change(t, dir, "Other.Dockerfile", "FROM scratch\n")
	apron(t, "deploy", dir, "--name", "second", "--dockerfile", "./Other.Dockerfile", "--port", "3000", "--env", "A=b=c").expect(t, 0)
	created := fake.did("CreateService")
	if diff := cmp.Diff([]any{map[string]any{"Key": "apron:build", "Value": "dockerfile"}}, created[0]["Tags"]); diff != "" {
		t.Error(diff)
	}
	want := []any{map[string]any{"Key": "apron:build", "Value": "dockerfile"}, map[string]any{"Key": "apron:dockerfile", "Value": "Other.Dockerfile"}}
	if diff := cmp.Diff(want, created[1]["Tags"]); diff != "" {
		t.Error(diff)
	}
	configuration := created[1]["SourceConfiguration"].(map[string]any)["CodeRepository"].(map[string]any)["CodeConfiguration"]
	wantConfiguration := map[string]any{"ConfigurationSource": "API", "CodeConfigurationValues": map[string]any{
		"Runtime": "PYTHON_311", "Port": "3000", "RuntimeEnvironmentVariables": map[string]any{"A": "b=c"},
	}}
	if diff := cmp.Diff(wantConfiguration, configuration); diff != "" {
		t.Error(diff)
	}
}

func TestDeployWithADockerfilesOptionsWhichMayChange(t *testing.T) {
	fake := newFakeAPI(t)
	dir := folder(t, map[string]string{"Dockerfile": "FROM scratch AS web\n"})
	options := []string{"deploy", dir, "--target", "web", "--build-arg", "A=1", "--build-secret", "token=shop/token", "--build-arg"}
	apron(t, append(options, "B=2")...).expect(t, 0)
	apron(t, append(options, "B=2", "--if-changed")...).expect(t, 0, "Nothing changed")
	apron(t, append(options, "B=3", "--if-changed")...).expect(t, 0, "Deploying shop")
	want := []any{
		map[string]any{"Key": "apron:build", "Value": "dockerfile"},
		map[string]any{"Key": "apron:build-arg:A", "Value": "1"},
		map[string]any{"Key": "apron:build-arg:B", "Value": "2"},
		map[string]any{"Key": "apron:build-secret:token", "Value": "shop/token"},
		map[string]any{"Key": "apron:target", "Value": "web"},
	}
	if diff := cmp.Diff(want, fake.did("CreateService")[0]["Tags"]); diff != "" {
		t.Error(diff)
	}
	tagged := fake.did("TagResource")
	if len(tagged) != 1 {
		t.Fatalf("%d changes of tags", len(tagged))
	}
	if diff := cmp.Diff([]any{map[string]any{"Key": "apron:build-arg:B", "Value": "3"}}, tagged[0]["Tags"]); diff != "" {
		t.Error(diff)
	}
}

func TestDeployOfAFolderThatSaysNothingOfItsBuild(t *testing.T) {
	fake := newFakeAPI(t)
	dir := folder(t, map[string]string{"package.json": `{"scripts":{"start":"node a.js"}}`, "a.js": ""})
	apron(t, "deploy", dir).expect(t, 0, "it is built as a Node.js app (package.json)")
	apron(t, "deploy", dir, "--env", "A=1", "--start", "node b.js").expect(t, 0, "Updating shop")
	if diff := cmp.Diff([]any{map[string]any{"Key": "apron:build", "Value": "auto"}}, fake.did("CreateService")[0]["Tags"]); diff != "" {
		t.Error(diff)
	}
	configuration := func(input map[string]any) any {
		return input["SourceConfiguration"].(map[string]any)["CodeRepository"].(map[string]any)["CodeConfiguration"]
	}
	if diff := cmp.Diff(map[string]any{"ConfigurationSource": "REPOSITORY"}, configuration(fake.did("CreateService")[0])); diff != "" {
		t.Error(diff)
	}
	want := map[string]any{"ConfigurationSource": "API", "CodeConfigurationValues": map[string]any{
		"Runtime": "PYTHON_311", "StartCommand": "node b.js", "RuntimeEnvironmentVariables": map[string]any{"A": "1"},
	}}
	if diff := cmp.Diff(want, configuration(fake.did("UpdateService")[0])); diff != "" {
		t.Error(diff)
	}
	apron(t, "deploy", dir, "--runtime", "nodejs22", "--start", "node c.js").expect(t, 0, "Updating shop")
	if removed := fake.did("UntagResource"); len(removed) != 1 || cmp.Diff([]any{"apron:build"}, removed[0]["TagKeys"]) != "" {
		t.Errorf("the tag that the runtime contradicts: %v", removed)
	}
}

func TestDeployWithARuntimeThatAppRunnerDoesNotHave(t *testing.T) {
	fake := newFakeAPI(t)
	dir := folder(t, map[string]string{"a.js": ""})
	apron(t, "deploy", dir, "--name", "shop", "--runtime", "nodejs24", "--start", "node a.js").expect(t, 0)
	created := fake.did("CreateService")[0]
	if diff := cmp.Diff([]any{map[string]any{"Key": "apron:runtime", "Value": "nodejs24"}}, created["Tags"]); diff != "" {
		t.Error(diff)
	}
	values := created["SourceConfiguration"].(map[string]any)["CodeRepository"].(map[string]any)["CodeConfiguration"].(map[string]any)["CodeConfigurationValues"]
	if got := values.(map[string]any)["Runtime"]; got != "PYTHON_311" {
		t.Errorf("the API is given the runtime %v, and must have one of its own", got)
	}
}

func TestDeployWithARuntimeAndAnotherVariableLater(t *testing.T) {
	fake := newFakeAPI(t)
	dir := folder(t, map[string]string{"main.go": "package main"})
	apron(t, "deploy", dir, "--runtime", "go1", "--build", "go build", "--start", "./app", "--env", "A=1", "--port", "9000").expect(t, 0)
	apron(t, "deploy", dir, "--runtime", "go1", "--build", "go build", "--start", "./app", "--if-changed").expect(t, 0, "Nothing changed")
	apron(t, "deploy", dir, "--runtime", "go1", "--build", "go build", "--start", "./app", "--env", "B=2").expect(t, 0, "Updating shop")
	values := fake.did("UpdateService")[0]["SourceConfiguration"].(map[string]any)["CodeRepository"].(map[string]any)["CodeConfiguration"]
	want := map[string]any{"ConfigurationSource": "API", "CodeConfigurationValues": map[string]any{
		"Runtime": "GO_1", "BuildCommand": "go build", "StartCommand": "./app", "Port": "9000",
		"RuntimeEnvironmentVariables": map[string]any{"A": "1", "B": "2"},
	}}
	if diff := cmp.Diff(want, values); diff != "" {
		t.Error(diff)
	}
	if n := len(fake.did("StartDeployment")); n != 0 {
		t.Errorf("%d deployments after an update that built the same commit", n)
	}
}

func TestDeployOfANewSizeAndAChangeDoesBoth(t *testing.T) {
	fake := newFakeAPI(t)
	dir := python(t)
	apron(t, "deploy", dir).expect(t, 0)
	apron(t, "deploy", dir, "--if-changed", "--cpu", "1", "--memory", "2").expect(t, 0, "Nothing changed")
	apron(t, "deploy", dir, "--if-changed", "--cpu", "2", "--memory", "4").expect(t, 0, "Updating shop")
	want := []map[string]any{{
		"ServiceArn": fake.services[0]["ServiceArn"], "InstanceConfiguration": map[string]any{"Cpu": "2 vCPU", "Memory": "4 GB"},
	}}
	if diff := cmp.Diff(want, fake.did("UpdateService")); diff != "" {
		t.Error(diff)
	}
}

func TestDeployOfAnImage(t *testing.T) {
	fake := newFakeAPI(t)
	apron(t, "deploy", "--image", "docker.io/library/nginx:1.27", "--name", "web1", "--port", "80").expect(t, 0, "web1 is live")
	apron(t, "deploy", "--image", "docker.io/library/nginx:1.28", "--name", "web1").expect(t, 0, "Updating web1")
	want := map[string]any{"ImageRepository": map[string]any{
		"ImageIdentifier": "docker.io/library/nginx:1.28", "ImageRepositoryType": "ECR_PUBLIC", "ImageConfiguration": map[string]any{"Port": "80"},
	}}
	if diff := cmp.Diff(want, fake.did("UpdateService")[0]["SourceConfiguration"]); diff != "" {
		t.Error(diff)
	}
	apron(t, "deploy", python(t), "--name", "web1").expect(t, 1, "web1 is deployed from an image, not from source code")
}

func TestDeployRefusesWhatCannotWork(t *testing.T) {
	fake := newFakeAPI(t)
	empty := folder(t, nil)
	node := folder(t, map[string]string{"package.json": "{}"})
	yaml := python(t)
	for name, c := range map[string]struct {
		code      int
		arguments []string
		pieces    []string
	}{
		"a folder that is not there":      {2, []string{"/nowhere"}, []string{"/nowhere", "apron deploy DIR"}},
		"a file":                          {2, []string{filepath.Join(node, "package.json")}, []string{"not a folder"}},
		"a folder of no kind":             {1, []string{empty}, []string{"neither an apprunner.yaml nor a Dockerfile"}},
		"a folder of Node.js":             {1, []string{node}, []string{"a Node.js app (package.json)", "nothing says how it is started", "--start"}},
		"a name that is none":             {2, []string{yaml, "--name", "a b"}, []string{"no service name"}},
		"an image without a name":         {2, []string{"--image", "x"}, []string{"--name NAME"}},
		"an image and a Dockerfile":       {2, []string{"--image", "x", "--dockerfile", "y"}, []string{"image dockerfile"}},
		"a runtime without a start":       {2, []string{node, "--runtime", "nodejs22"}, []string{"--start"}},
		"a build without a runtime":       {2, []string{yaml, "--build", "x"}, []string{"--runtime"}},
		"a start beside apprunner.yaml":   {2, []string{yaml, "--start", "x"}, []string{"--runtime"}},
		"a target without a Dockerfile":   {2, []string{yaml, "--target", "x"}, []string{"--dockerfile"}},
		"a build argument that is none":   {2, []string{yaml, "--build-arg", "x"}, []string{"--build-arg x", "KEY=VALUE"}},
		"a Dockerfile that is not there":  {2, []string{node, "--dockerfile", "Dockerfile"}, []string{"there is no Dockerfile"}},
		"variables beside apprunner.yaml": {2, []string{yaml, "--env", "A=b"}, []string{"run.env"}},
		"a port beside apprunner.yaml":    {2, []string{yaml, "--port", "80"}, []string{"run.network.port"}},
		"a port out of range":             {2, []string{yaml, "--port", "70000"}, []string{"1 to 65535"}},
		"a variable without a value":      {2, []string{node, "--env", "SECRET"}, []string{"KEY=VALUE"}},
		"two folders":                     {2, []string{node, yaml}, []string{"at most one folder"}},
	} {
		t.Run(name, func(t *testing.T) {
			apron(t, append([]string{"deploy"}, c.arguments...)...).expect(t, c.code, c.pieces...)
		})
	}
	if len(fake.requests) != 0 {
		t.Errorf("the API was asked: %+v", fake.requests)
	}
}

func TestDeployTellsOfAPausedServiceBeforeItSendsAnything(t *testing.T) {
	fake := newFakeAPI(t)
	dir := python(t)
	apron(t, "deploy", dir).expect(t, 0)
	apron(t, "pause", "shop").expect(t, 0, "shop is paused.")
	change(t, dir, "app.py", "changed")
	before := headOf(t, fake, "shop")
	apron(t, "deploy", dir).expect(t, 1, "shop is paused", "apron resume shop")
	if headOf(t, fake, "shop") != before {
		t.Error("the folder was sent")
	}
}

func TestDeployRefusesAServiceOfAnotherRepository(t *testing.T) {
	fake := newFakeAPI(t)
	apron(t, "deploy", python(t)).expect(t, 0)
	code := fake.services[0]["SourceConfiguration"].(map[string]any)["CodeRepository"].(map[string]any)
	code["RepositoryUrl"] = "https://git.example.org/shop.git"
	apron(t, "deploy", python(t)).expect(t, 1, "shop is deployed from https://git.example.org/shop.git", "another --name")
}

func headOf(t *testing.T, fake *fakeAPI, name string) string {
	t.Helper()
	head, err := os.ReadFile(filepath.Join(fake.repositories, name+".git", "refs/heads/main"))
	if err != nil {
		t.Fatal(err)
	}
	return string(head)
}

func TestServiceNamesAreMadeOfFolderNames(t *testing.T) {
	for folder, want := range map[string]string{
		"hello-python": "hello-python", "My Shop!": "My-Shop", "a": "a-app", "_x_": "x_-app", "..": "app-app", "ä": "app-app",
		"--lead": "lead", strings.Repeat("n", 60): strings.Repeat("n", 40), "with.dots.v2": "with-dots-v2",
		strings.Repeat("n", 39) + "-tail": strings.Repeat("n", 39),
	} {
		got := serviceName(folder)
		if got != want || !namePattern.MatchString(got) {
			t.Errorf("the folder %q gives the name %q, want %q", folder, got, want)
		}
	}
}

func TestSizesAreComparedWhateverTheirUnit(t *testing.T) {
	for given, want := range map[string]string{"0.25 vCPU": "256", "1024": "1024", "2 GB": "2048", "0.5 GB": "512", "x GB": "x GB"} {
		if got := plainSize(given); got != want {
			t.Errorf("%s is %s, want %s", given, got, want)
		}
	}
	for given, want := range map[string]string{"1": "1 vCPU", "1 vCPU": "1 vCPU", "1vCPU": "1 vCPU", "1024": "1 vCPU", "": ""} {
		if got, err := readSize("cpu", given, " vCPU", cpuSizes); got != want || err != nil {
			t.Errorf("--cpu %s is %s (%v), want %s", given, got, err, want)
		}
	}
}
