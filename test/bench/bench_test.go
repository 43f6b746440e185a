package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/sample"
)

// runs is how often each thing is measured; the median counts.
const runs = 15

// row is one line of the table.
type row struct{ what, value, reach string }

// BenchmarkReport runs everything once, whatever b.N is.
func BenchmarkReport(b *testing.B) {
	a := apron.Start(b)
	image := sample.Image(b, sample.Variant{Version: "bench", Port: 8080})
	push(b, a, "bench:live", image)
	service := a.MustCreate(b, imageService())
	d := startDocker(b)
	d.must(b, "load", "--input", sample.Archive(b, image, "bench:live"))
	d.run(b, "bench:live", "") // the first has more to do

	var answers, deployments, docker []time.Duration
	for range runs { // in turn, so that whatever else the machine does meets both
		answer, whole := deploy(b, service)
		answers, deployments = append(answers, answer), append(deployments, whole)
		settle(b, service)
		docker = append(docker, d.run(b, "bench:live", ""))
	}
	d.stop(b)
	source := measureSource(b, a)
	rows := []row{
		{"StartDeployment of an image that is present, call to SUCCEEDED", seconds(median(deployments)), "0.5 s"},
		{"docker run + first answer of the same image", seconds(median(docker)), ""},
		{"  ratio", fmt.Sprintf("%.2f", float64(median(deployments))/float64(median(docker))), "1.0"},
		{"source deployment, one line changed, PYTHON_311", seconds(median(source)), "1.5 s"},
		{"StartDeployment's own answer", milliseconds(median(answers)), "10 ms"},
	}
	rows = append(rows, memory(a)...)
	rows = append(rows, row{"second `make up`", seconds(secondUp(b, a)), "15 s"})
	printTable(runs, rows)
}

func imageService() *apprunner.CreateServiceInput {
	return &apprunner.CreateServiceInput{
		ServiceName: aws.String("bench"),
		SourceConfiguration: &types.SourceConfiguration{ImageRepository: &types.ImageRepository{
			ImageIdentifier: aws.String("bench:live"), ImageRepositoryType: types.ImageRepositoryTypeEcr,
			ImageConfiguration: &types.ImageConfiguration{Port: aws.String("8080")},
		}},
		HealthCheckConfiguration: &types.HealthCheckConfiguration{HealthyThreshold: aws.Int32(1)},
	}
}

func push(b *testing.B, a *apron.Apron, tag string, image v1.Image) {
	b.Helper()
	keys, err := a.Keys()
	if err != nil {
		b.Fatal(err)
	}
	reference, err := name.ParseReference(a.API + "/" + tag)
	if err != nil {
		b.Fatal(err)
	}
	auth := &authn.Basic{Username: keys.AccessKeyID, Password: keys.SecretAccessKey}
	if err := remote.Write(reference, image, remote.WithAuth(auth)); err != nil {
		b.Fatal(err)
	}
}

// deploy starts a deployment, and returns how long its answer took and how long it was until the operation had succeeded.
func deploy(b *testing.B, service *apron.Service) (answer, whole time.Duration) {
	b.Helper()
	begun := time.Now()
	id := service.Deploy(b)
	answer = time.Since(begun)
	for {
		operation, err := service.Operation(b.Context(), id)
		if err != nil {
			b.Fatal(err)
		}
		if operation.IsOver() {
			if operation.Status != "SUCCEEDED" {
				b.Fatal(operation)
			}
			return answer, time.Since(begun)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// settle waits until the old instance is gone, so that its end does not disturb what is measured next.
func settle(b *testing.B, service *apron.Service) {
	b.Helper()
	apron.Until(b, 30*time.Second, "one instance", func() (bool, error) { return len(service.Instances(b)) == 1, nil })
}

func measureSource(b *testing.B, a *apron.Apron) (took []time.Duration) {
	b.Helper()
	repository := sample.NewRepository(b, sample.PythonApp("version 0"))
	service := a.MustCreate(b, &apprunner.CreateServiceInput{
		ServiceName: aws.String("source"),
		SourceConfiguration: &types.SourceConfiguration{CodeRepository: &types.CodeRepository{
			RepositoryUrl:     &repository.Dir,
			SourceCodeVersion: &types.SourceCodeVersion{Type: types.SourceCodeVersionTypeBranch, Value: aws.String("main")},
			CodeConfiguration: &types.CodeConfiguration{ConfigurationSource: types.ConfigurationSourceRepository},
		}},
		HealthCheckConfiguration: &types.HealthCheckConfiguration{HealthyThreshold: aws.Int32(1)},
	})
	for i := range runs {
		repository.Commit("Change a line", sample.PythonApp(fmt.Sprintf("version %d", i+1)))
		_, whole := deploy(b, service)
		took = append(took, whole)
		settle(b, service)
	}
	service.Delete(b)
	return took
}

// memory is what apron and its daemons take, without the application and what stands by each instance.
func memory(a *apron.Apron) []row {
	time.Sleep(10 * time.Second) // idle
	total, each := 0, map[string]int{}
	for _, process := range a.Processes() {
		each[process.Name] += process.Bytes
		if slices.Contains([]string{"apron", "containerd", "buildkitd"}, process.Name) {
			total += process.Bytes
		}
	}
	rows := []row{{"idle memory after all that: apron with its proxy, containerd, buildkitd (PSS)", megabytes(total), "200 MB"}}
	for _, program := range []string{"apron", "containerd", "buildkitd", "containerd-shim-runc-v2", "apron-log"} {
		rows = append(rows, row{"  " + program, megabytes(each[program]), ""})
	}
	return rows
}

// secondUp is `make up` on the apron that runs, the second time.
func secondUp(b *testing.B, a *apron.Apron) time.Duration {
	b.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		b.Fatal(err)
	}
	var took time.Duration
	for range 2 {
		command := exec.Command("make", "up")
		command.Dir = root
		command.Env = append(os.Environ(), "APRON_DATA="+a.Data, "APRON_API="+a.API, "APRON_HTTP="+a.HTTP, "APRON_HTTPS="+a.HTTPS, "APRON_PRIVATE_HTTP="+a.Private)
		begun := time.Now()
		if output, err := command.CombinedOutput(); err != nil {
			b.Fatalf("make up: %v\n%s", err, output)
		}
		took = time.Since(begun)
	}
	return took
}

func median(all []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}
func megabytes(n int) string { return fmt.Sprintf("%d MB", n/1_000_000) }

func printTable(runs int, rows []row) {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "\nWHAT (median of %d)\tMEASURED\tREACH\n", runs)
	for _, r := range rows {
		fmt.Fprintf(table, "%s\t%s\t%s\n", r.what, r.value, strings.TrimSpace(r.reach))
	}
	_ = table.Flush()
}
