package bench

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/sample"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"
)

const (
	// idleFor is how long apron is watched while nothing happens. All services are looked at once in that time.
	idleFor = 10 * time.Minute
	// creationsAtOnce bounds how many services are being created.
	creationsAtOnce = 8
)

// BenchmarkIdle measures the processor that apron and all of its processes take while so many services are frozen as the variable
// IDLE_SERVICES says, by default 1,000.
func BenchmarkIdle(b *testing.B) {
	services, _ := strconv.Atoi(cmp.Or(os.Getenv("IDLE_SERVICES"), "1000"))
	a := apron.Start(b)
	push(b, a, "idle:live", sample.Image(b, sample.Variant{Version: "idle", Port: 8080}))
	var creations sync.WaitGroup
	slots := make(chan struct{}, creationsAtOnce)
	for i := range services {
		slots <- struct{}{}
		creations.Go(func() {
			defer func() { <-slots }()
			input := imageService()
			input.ServiceName = aws.String(fmt.Sprintf("idle-%d", i))
			input.SourceConfiguration.ImageRepository.ImageIdentifier = aws.String("idle:live")
			input.Tags = []types.Tag{{Key: aws.String("apron:freeze-after"), Value: aws.String("1s")}}
			create(b, a, input)
		})
	}
	creations.Wait()
	time.Sleep(90 * time.Second) // the last freeze, and what is swept after deployments
	rows := measureIdle(a, services)
	printTable(1, rows)
}

// create creates a service and waits until it runs. It may be called from any goroutine.
func create(b *testing.B, a *apron.Apron, input *apprunner.CreateServiceInput) {
	output, err := a.SDK().CreateService(b.Context(), input)
	for err == nil && output.Service.Status == types.ServiceStatusOperationInProgress {
		time.Sleep(100 * time.Millisecond)
		var described *apprunner.DescribeServiceOutput
		if described, err = a.SDK().DescribeService(b.Context(), &apprunner.DescribeServiceInput{ServiceArn: output.Service.ServiceArn}); err == nil {
			output.Service = described.Service
		}
	}
	if err != nil || output.Service.Status != types.ServiceStatusRunning {
		b.Errorf("create %s: %v", *input.ServiceName, err)
	}
}

func measureIdle(a *apron.Apron, services int) []row {
	before, begun := processorTimes(a), time.Now()
	time.Sleep(idleFor)
	after, took := processorTimes(a), time.Since(begun)
	var all time.Duration
	rows := []row{{}}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		used := after[name] - before[name]
		all += used
		rows = append(rows, row{"  " + name, share(used, took), ""})
	}
	rows[0] = row{fmt.Sprintf("idle, %d frozen services: part of a core", services), share(all, took), "1 %"}
	return rows
}

func share(used, of time.Duration) string {
	return fmt.Sprintf("%.3f %%", 100*used.Seconds()/of.Seconds())
}

// processorTimes is what each of apron's programs has used so far, all processes of it together.
func processorTimes(a *apron.Apron) map[string]time.Duration {
	times := map[string]time.Duration{}
	for _, process := range a.Processes() {
		times[nameOfProcess(process)] += threadTimes(process.PID)
	}
	return times
}

// threadTimes adds up what a process's threads have run, in nanoseconds, which /proc/PID/stat has in hundredths of a second.
func threadTimes(pid int) (all time.Duration) {
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, task := range tasks {
		content, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", pid, task.Name()))
		ran, _, _ := strings.Cut(string(content), " ")
		nanoseconds, _ := strconv.ParseInt(ran, 10, 64)
		all += time.Duration(nanoseconds)
	}
	return all
}

// nameOfProcess tells the data plane from the rest of apron.
func nameOfProcess(process apron.Process) string {
	line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", process.PID))
	if arguments := strings.Split(string(line), "\x00"); process.Name == "apron" && len(arguments) > 1 {
		return "apron " + arguments[1]
	}
	return process.Name
}
