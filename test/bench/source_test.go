package bench

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"

	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/sample"
)

const (
	// changes is how often one line is changed, firsts how often the app is built for the first time; the median counts.
	changes, firsts = 9, 3
	versionLine     = `const version = "version 0";`
)

// BenchmarkSource measures the way from a push to an answer, for a Node.js app with 50 dependencies, beside `docker build`
// and `docker run` of the equivalent Dockerfile. Both install from one registry on this machine, and both start from the same
// files: docker's base image is what an instance of apron's runtime sees. The builder is the one that `docker build` has here:
// BuildKit where buildx is installed, else the old one.
func BenchmarkSource(b *testing.B) {
	a := apron.Start(b)
	files := nodeApp(b)
	packages := fetchPackages(b, filepath.Join("testdata", "node50"))
	d := startDocker(b)
	listener := d.listen(b)
	packages.serve(b, listener)
	files[".npmrc"] = "registry=http://" + listener.Addr().String() + "/\n"

	repository := sample.NewRepository(b, files)
	address := a.Endpoint() + "/git/node50.git"
	pushMain(b, a, repository, "node50")
	service, id := a.Create(b, nodeService("node50", address))
	await(b, service, id, "SUCCEEDED")
	d.importRoot(b, a.ContainerProcesses()[0], "apron-nodejs22")
	dir := repository.Dir // docker builds from the same files
	d.build(b, dir, "node50", true)
	d.run(b, "node50", "version 0")

	first := measureFirst(b, a, d, dir, address)
	var one, two pushTimes
	for i := range changes { // in turn, so that whatever else the machine does meets both
		version := fmt.Sprintf("version %d", i+1)
		repository.Commit("Change a line", map[string]string{"server.js": strings.Replace(files["server.js"], "version 0", version, 1)})
		one.add(measurePush(b, a, service, repository, version))
		settle(b, service)
		begun := time.Now()
		d.build(b, dir, "node50", false)
		two.build = append(two.build, time.Since(begun))
		two.answer = append(two.answer, two.build[i]+d.run(b, "node50", version))
	}
	unchanged := measureUnchanged(b, service)
	d.stop(b)
	printTable(changes, []row{
		{"one line changed, git push to the new answer", seconds(median(one.answer)), "1.5 s"},
		{"  docker build + docker run + first answer", seconds(median(two.answer)), ""},
		{"  ratio", ratio(one.answer, two.answer), "0.8"},
		{"  of it git push", seconds(median(one.push)), ""},
		{"  of it the build step; docker build", seconds(median(one.build)) + "; " + seconds(median(two.build)), ""},
		{"git push begun to operation started", seconds(median(one.started)), ""},
		{"branch moved to operation started", milliseconds(median(one.noticed)), "0.2 s"},
		{"StartDeployment of an unchanged commit, call to SUCCEEDED", seconds(median(unchanged)), ""},
		{fmt.Sprintf("first build (median of %d)", firsts), seconds(median(first.build)), ""},
		{"  docker build without cache", seconds(median(first.docker)), ""},
		{"  ratio", ratio(first.build, first.docker), "1.1"},
	})
	fmt.Println("steps of the last push:", one.steps)
}

func ratio(one, other []time.Duration) string {
	return fmt.Sprintf("%.2f", float64(median(one))/float64(median(other)))
}

func nodeApp(b *testing.B) map[string]string {
	b.Helper()
	files := map[string]string{}
	for _, name := range []string{"package.json", "package-lock.json", "server.js", "apprunner.yaml", "Dockerfile"} {
		data, err := os.ReadFile(filepath.Join("testdata", "node50", name))
		if err != nil {
			b.Fatal(err)
		}
		files[name] = string(data)
	}
	files[".dockerignore"] = ".git\n"
	return files
}

func nodeService(name, address string) *apprunner.CreateServiceInput {
	return &apprunner.CreateServiceInput{
		ServiceName: &name,
		SourceConfiguration: &types.SourceConfiguration{
			AutoDeploymentsEnabled: aws.Bool(true),
			CodeRepository: &types.CodeRepository{
				RepositoryUrl:     &address,
				SourceCodeVersion: &types.SourceCodeVersion{Type: types.SourceCodeVersionTypeBranch, Value: aws.String("main")},
				CodeConfiguration: &types.CodeConfiguration{ConfigurationSource: types.ConfigurationSourceRepository},
			},
		},
		HealthCheckConfiguration: &types.HealthCheckConfiguration{HealthyThreshold: aws.Int32(1)},
	}
}

// pushMain pushes as a user would: with the key pair in the URL.
func pushMain(b *testing.B, a *apron.Apron, repository *sample.Repository, name string) {
	b.Helper()
	keys, err := a.Keys()
	if err != nil {
		b.Fatal(err)
	}
	address := url.URL{Scheme: "http", Host: a.API, Path: "/git/" + name + ".git", User: url.UserPassword(keys.AccessKeyID, keys.SecretAccessKey)}
	repository.Git("push", "--quiet", address.String(), "main")
}

// pushTimes are what one-line changes took.
type pushTimes struct {
	push, started, noticed, build, answer []time.Duration
	steps                                 string
}

// firstTimes are what the first build of a service took, beside docker's.
type firstTimes struct{ build, docker []time.Duration }

// pushTime is what one push took, from its beginning.
type pushTime struct {
	push, started, noticed, build, answer time.Duration
	steps                                 string
}

func (t *pushTimes) add(one pushTime) {
	t.push, t.started, t.noticed = append(t.push, one.push), append(t.started, one.started), append(t.noticed, one.noticed)
	t.build, t.answer, t.steps = append(t.build, one.build), append(t.answer, one.answer), one.steps
}

// measurePush pushes what is committed and waits until the service answers with the version.
func measurePush(b *testing.B, a *apron.Apron, service *apron.Service, repository *sample.Repository, version string) (took pushTime) {
	b.Helper()
	begun := time.Now()
	pushed := make(chan time.Time, 1)
	moved := branchMoves(b, a, "node50", repository.Head())
	go func() {
		pushMain(b, a, repository, "node50")
		pushed <- time.Now()
	}()
	for {
		answer, err := a.TryGet(b.Context(), service.URL, "/")
		if err == nil && answer.Body == version {
			break
		}
		if time.Since(begun) > time.Minute {
			b.Fatalf("the pushed version does not answer: %v %+v", err, answer)
		}
		time.Sleep(5 * time.Millisecond)
	}
	took.answer, took.push = time.Since(begun), (<-pushed).Sub(begun)
	operation := newest(b, a, service)
	await(b, service, operation, "SUCCEEDED")
	done, err := service.Operation(b.Context(), operation)
	if err != nil {
		b.Fatal(err)
	}
	started := secondsSince1970(done.Steps[0].StartedAt)
	took.started, took.noticed = started.Sub(begun), started.Sub(<-moved)
	for _, step := range done.Steps {
		lasted := secondsSince1970(step.EndedAt).Sub(secondsSince1970(step.StartedAt))
		took.steps += fmt.Sprintf("%s %s, ", step.Name, seconds(lasted))
		if step.Name == "build" {
			took.build = lasted
		}
	}
	return took
}

// branchMoves tells when the embedded repository's branch main becomes a commit.
func branchMoves(b *testing.B, a *apron.Apron, repository, commit string) <-chan time.Time {
	moved := make(chan time.Time, 1)
	go func() {
		for b.Context().Err() == nil {
			data, _ := os.ReadFile(filepath.Join(a.Data, "git", repository+".git", "refs", "heads", "main"))
			if strings.TrimSpace(string(data)) == commit {
				moved <- time.Now()
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	return moved
}

func secondsSince1970(s float64) time.Time { return time.UnixMicro(int64(s * 1e6)) }

func newest(b *testing.B, a *apron.Apron, service *apron.Service) string {
	b.Helper()
	output, err := a.SDK().ListOperations(b.Context(), &apprunner.ListOperationsInput{ServiceArn: &service.ARN, MaxResults: aws.Int32(1)})
	if err != nil || len(output.OperationSummaryList) == 0 {
		b.Fatalf("list operations: %v", err)
	}
	return *output.OperationSummaryList[0].Id
}

// measureUnchanged deploys what is deployed already.
func measureUnchanged(b *testing.B, service *apron.Service) (took []time.Duration) {
	b.Helper()
	for range changes {
		_, whole := deploy(b, service)
		took = append(took, whole)
		settle(b, service)
	}
	return took
}

// measureFirst builds the app for services that are new, and by docker without its cache.
func measureFirst(b *testing.B, a *apron.Apron, d *docker, dir, address string) (took firstTimes) {
	b.Helper()
	for i := range firsts {
		service, id := a.Create(b, nodeService(fmt.Sprintf("first%d", i), address))
		await(b, service, id, "SUCCEEDED")
		operation, err := service.Operation(b.Context(), id)
		if err != nil {
			b.Fatal(err)
		}
		for _, step := range operation.Steps {
			if step.Name == "build" {
				took.build = append(took.build, secondsSince1970(step.EndedAt).Sub(secondsSince1970(step.StartedAt)))
			}
		}
		service.Delete(b)
		begun := time.Now()
		d.build(b, dir, "node50", true)
		took.docker = append(took.docker, time.Since(begun))
	}
	return took
}
