package bench

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/sample"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"
)

const (
	// operationRuns is how often each of these is measured; the median counts.
	operationRuns = 9
	restarts      = 5
	// manyServices run while apron is restarted, runningOperations of them with an operation.
	manyServices, runningOperations = 200, 5
)

// BenchmarkOperations measures how fast operations go back, end and go on, and how fast an instance is replaced.
func BenchmarkOperations(b *testing.B) {
	a := apron.Start(b)
	image := sample.Image(b, sample.Variant{Version: "bench", Port: 8080})
	push(b, a, "bench:live", image)
	replacement := measureReplacement(b, a) // as long as there is no other instance
	service := a.MustCreate(b, imageService())
	rows := []row{
		replacement,
		measureRollback(b, a, service),
		measureCancel(b, a),
		measureRestart(b, a, service),
	}
	printTable(operationRuns, rows)
}

// measureReplacement kills an instance's process, and waits until another one answers. Each time it is of a new service: the
// second death within a minute would wait on purpose.
func measureReplacement(b *testing.B, a *apron.Apron) row {
	b.Helper()
	var took []time.Duration
	for range operationRuns {
		service := a.MustCreate(b, imageService())
		old := a.Get(b, service.URL, "/id").Body
		begun := time.Now()
		for _, pid := range a.ContainerProcesses() {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				b.Fatal(err)
			}
		}
		for {
			answer, err := a.TryGet(b.Context(), service.URL, "/id")
			if err == nil && answer.Status == 200 && answer.Body != old {
				break
			}
			if time.Since(begun) > time.Minute {
				b.Fatalf("no new instance answers: %v %+v", err, answer)
			}
			time.Sleep(2 * time.Millisecond)
		}
		took = append(took, time.Since(begun))
		service.Delete(b)
	}
	return row{
		"an instance killed, until another one answers", fmt.Sprintf("%s, at most %s", seconds(median(took)), seconds(slices.Max(took))), "1 s",
	}
}

// measureRollback goes back and forth between two revisions.
func measureRollback(b *testing.B, a *apron.Apron, service *apron.Service) row {
	b.Helper()
	deploy(b, service)
	var took []time.Duration
	for range operationRuns {
		settle(b, service)
		begun := time.Now()
		var output struct{ OperationId string }
		if err := a.Extension(b.Context(), "RollbackService", map[string]string{"ServiceArn": service.ARN}, &output); err != nil {
			b.Fatal(err)
		}
		await(b, service, output.OperationId, "SUCCEEDED")
		took = append(took, time.Since(begun))
	}
	return row{"rollback to the previous revision, call to SUCCEEDED", seconds(median(took)), "1 s"}
}

// measureCancel cancels builds that would last long.
func measureCancel(b *testing.B, a *apron.Apron) row {
	b.Helper()
	repository := sample.NewRepository(b, sample.PythonApp("version 0"))
	source := func(command string) *types.SourceConfiguration {
		return &types.SourceConfiguration{CodeRepository: &types.CodeRepository{
			RepositoryUrl:     &repository.Dir,
			SourceCodeVersion: &types.SourceCodeVersion{Type: types.SourceCodeVersionTypeBranch, Value: aws.String("main")},
			CodeConfiguration: &types.CodeConfiguration{
				ConfigurationSource: types.ConfigurationSourceApi,
				CodeConfigurationValues: &types.CodeConfigurationValues{
					Runtime: types.RuntimePython311, BuildCommand: &command, StartCommand: aws.String("python3 app.py"), Port: aws.String("8080"),
				},
			},
		}}
	}
	service := a.MustCreate(b, &apprunner.CreateServiceInput{ServiceName: aws.String("cancelled"), SourceConfiguration: source("true")})
	var took []time.Duration
	for i := range operationRuns {
		id := service.Update(b, source(fmt.Sprintf("echo builds %d; sleep 300", i)))
		apron.Until(b, time.Minute, "the build", func() (bool, error) {
			lines := service.Lines(b, "deployment/"+id)
			return slices.ContainsFunc(lines, func(line string) bool { return strings.HasSuffix(line, fmt.Sprint("builds ", i)) }), nil
		})
		begun := time.Now()
		if err := a.Extension(b.Context(), "CancelOperation", map[string]string{"ServiceArn": service.ARN, "OperationId": id}, &struct{}{}); err != nil {
			b.Fatal(err)
		}
		await(b, service, id, "ROLLBACK_SUCCEEDED")
		took = append(took, time.Since(begun))
	}
	service.Delete(b)
	return row{"cancel of a running build, call to ended", seconds(median(took)), "2 s"}
}

// measureRestart kills an apron with many services, and waits after its start until all operations have gone on.
func measureRestart(b *testing.B, a *apron.Apron, service *apron.Service) row {
	b.Helper()
	push(b, a, "slow:live", sample.Image(b, sample.Variant{Version: "slow", Port: 8080, Environment: map[string]string{"START_DELAY": "30s"}}))
	many, creations := make([]*apron.Service, manyServices-1), make([]string, manyServices-1)
	for i := range many {
		input := imageService()
		input.ServiceName = aws.String(fmt.Sprint("many-", i))
		many[i], creations[i] = a.Create(b, input)
	}
	for i, each := range many {
		await(b, each, creations[i], "SUCCEEDED")
	}
	var took, ready []time.Duration
	for range restarts {
		ids := map[*apron.Service]string{}
		for _, each := range many[:runningOperations] {
			input := imageService().SourceConfiguration
			input.ImageRepository.ImageIdentifier = aws.String("slow:live")
			ids[each] = each.Update(b, input)
		}
		for each, id := range ids {
			apron.Until(b, time.Minute, "the health check", func() (bool, error) {
				operation, err := each.Operation(b.Context(), id)
				return operation.HasReached("health check"), err
			})
		}
		a.Kill9(b)
		begun := time.Now()
		a.Restart(b)
		ready = append(ready, time.Since(begun))
		for each := range ids {
			apron.Until(b, time.Minute, "the operation to go on", func() (bool, error) { return hasGoneOn(b, a, each, begun) })
		}
		took = append(took, time.Since(begun))
		a.WantBody(b, service.URL, "/", "bench")
		for each, id := range ids {
			if err := a.Extension(b.Context(), "CancelOperation", map[string]string{"ServiceArn": each.ARN, "OperationId": id}, &struct{}{}); err != nil {
				b.Fatal(err)
			}
			await(b, each, id, "ROLLBACK_SUCCEEDED")
		}
	}
	return row{
		fmt.Sprintf("restart with %d services and %d running operations, until all have gone on", manyServices, runningOperations),
		fmt.Sprintf("%s (ready after %s)", seconds(median(took)), seconds(median(ready))), "2 s",
	}
}

// hasGoneOn says whether the service's newest operation was written since a time.
func hasGoneOn(b *testing.B, a *apron.Apron, service *apron.Service, since time.Time) (bool, error) {
	b.Helper()
	output, err := a.SDK().ListOperations(b.Context(), &apprunner.ListOperationsInput{ServiceArn: &service.ARN, MaxResults: aws.Int32(1)})
	if err != nil || len(output.OperationSummaryList) == 0 {
		return false, err
	}
	return output.OperationSummaryList[0].UpdatedAt.After(since), nil
}

// await waits for the end of an operation without the pauses of AwaitOperation.
func await(b *testing.B, service *apron.Service, id, status string) {
	b.Helper()
	for {
		operation, err := service.Operation(b.Context(), id)
		if err != nil {
			b.Fatal(err)
		}
		if operation.IsOver() {
			if operation.Status != status {
				b.Fatal(operation)
			}
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
}
