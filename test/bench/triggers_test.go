package bench

import (
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"

	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/sample"
)

// BenchmarkTriggers measures how long it takes from a push to its operation: from `git push` to apron's own server, and from the
// call of a webhook for a repository at another one.
func BenchmarkTriggers(b *testing.B) {
	a := apron.Start(b)
	push(b, a, "bench:live", sample.Image(b, sample.Variant{Version: "bench", Port: 8080}))
	keys, err := a.Keys()
	if err != nil {
		b.Fatal(err)
	}
	own := url.URL{Scheme: "http", Host: a.API, Path: "/git/bench.git"}
	pushed := own
	pushed.User = url.UserPassword(keys.AccessKeyID, keys.SecretAccessKey)
	dir := b.TempDir()
	server := httptest.NewServer(gitBackend(b, dir))
	b.Cleanup(server.Close)
	elsewhere := filepath.Join(dir, "bench.git")

	var rows []row
	for _, c := range []struct{ name, repository, remote, reach string }{
		{"push to the embedded server, to its operation", own.String(), pushed.String(), "0.2 s"},
		{"webhook of a push elsewhere, to its operation", server.URL + "/bench.git", elsewhere, "0.5 s"},
	} {
		repository := sample.NewRepository(b, map[string]string{"Dockerfile": "FROM " + a.API + "/bench:live\n"})
		if c.remote == elsewhere {
			repository.Git("init", "--quiet", "--bare", "--initial-branch=main", elsewhere)
		}
		repository.Git("push", "--quiet", c.remote, "main")
		service := a.MustCreate(b, pushedService(c.repository, len(rows)))
		var hook struct{ URL, Secret string }
		a.CommandJSON(b, &hook, "webhook", service.Name)
		var took []time.Duration
		for n := range runs {
			repository.Commit("Go on", map[string]string{"n": strconv.Itoa(n)})
			begun := time.Now()
			repository.Git("push", "--quiet", c.remote, "main")
			if c.remote == elsewhere {
				begun = time.Now() // the host's own work is over
				call(b, hook.URL, hook.Secret)
			}
			took = append(took, nextOperation(b, a, service, n+1).Sub(begun))
		}
		rows = append(rows, row{c.name, seconds(median(took)), c.reach})
	}
	printTable(runs, rows)
}

func pushedService(repository string, n int) *apprunner.CreateServiceInput {
	return &apprunner.CreateServiceInput{
		ServiceName: aws.String("pushed-" + strconv.Itoa(n)),
		SourceConfiguration: &types.SourceConfiguration{CodeRepository: &types.CodeRepository{
			RepositoryUrl:     &repository,
			SourceCodeVersion: &types.SourceCodeVersion{Type: types.SourceCodeVersionTypeBranch, Value: aws.String("main")},
			CodeConfiguration: &types.CodeConfiguration{ConfigurationSource: types.ConfigurationSourceRepository},
		}},
		Tags: []types.Tag{{Key: aws.String("apron:build"), Value: aws.String("dockerfile")}},
	}
}

// nextOperation waits until the count-th deployment has ended, and returns when it was begun.
func nextOperation(b *testing.B, a *apron.Apron, service *apron.Service, count int) (begun time.Time) {
	b.Helper()
	apron.Until(b, time.Minute, "a deployment", func() (bool, error) {
		listed, err := a.SDK().ListOperations(b.Context(), &apprunner.ListOperationsInput{ServiceArn: &service.ARN})
		if err != nil || len(listed.OperationSummaryList) != count+1 {
			return false, err
		}
		newest := listed.OperationSummaryList[0]
		begun = *newest.StartedAt
		return newest.EndedAt != nil, nil
	})
	return begun
}

func call(b *testing.B, address, secret string) {
	b.Helper()
	request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, address, strings.NewReader("{}"))
	if err != nil {
		b.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+secret)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		b.Fatalf("the webhook answers %s", response.Status)
	}
}

func gitBackend(b *testing.B, dir string) http.Handler {
	b.Helper()
	core, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		b.Fatal(err)
	}
	return &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(core)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null", "HOME=/nonexistent"},
	}
}
