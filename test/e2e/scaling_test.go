package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"

	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/sample"
)

func TestSizesFollowTheLoad(t *testing.T) {
	t.Parallel()
	a := apron.Start(t)
	push(t, a, "scale:live", sample.Variant{Version: "one"})
	var busy, sleepy, computing, hoarding *apron.Service
	var prepare sync.WaitGroup
	prepare.Go(func() { busy = createScaling(t, a, "busy", busyConcurrency, 4, nil) })
	prepare.Go(func() {
		sleepy = createScaling(t, a, "sleepy", 100, 8, map[string]string{"apron:min-size": "0", "apron:scale-to-zero-after": "2s"})
	})
	prepare.Go(func() {
		computing = createScaling(t, a, "computing", 100, 2, nil) // it is tagged later
	})
	prepare.Go(func() {
		hoarding = createScaling(t, a, "hoarding", 100, 2, map[string]string{"apron:scale-on": "memory", "apron:scale-target": "20"})
	})
	prepare.Wait()
	if t.Failed() {
		return
	}
	t.Run("to zero, and a request wakes it", func(t *testing.T) { sleepAndWake(t, a, sleepy) })
	t.Run("out to MaxSize at once", func(t *testing.T) { scaleOut(t, a, busy) })
	t.Run("as many as a burst has need of", func(t *testing.T) { burst(t, a, sleepy) })
	t.Run("over a deployment", func(t *testing.T) {
		busy.MustDeploy(t)
		wantInstances(t, busy, 4)
		sleepy.MustDeploy(t) // with one that proves its health
		wantInstances(t, sleepy, 0)
	})
	t.Run("over a restart", func(t *testing.T) {
		a.Kill9(t)
		a.Restart(t)
		if size := scalingOf(t, a, busy).Size; size != 4 || len(busy.Instances(t)) != 4 {
			t.Errorf("after the restart the size is %d, with %d instances", size, len(busy.Instances(t)))
		}
		if instances := sleepy.Instances(t); len(instances) != 0 {
			t.Errorf("the restart has woken a service at zero: %+v", instances)
		}
		a.WantBody(t, sleepy.URL, "/", "one")
	})
	traffic := keepBusy(t, a, busy, 20)
	t.Run("out by what is used", func(t *testing.T) {
		a.AWS(t, nil, "tag-resource", "--resource-arn", computing.ARN, "--tags", "Key=apron:scale-on,Value=cpu", "Key=apron:scale-target,Value=20")
		var both sync.WaitGroup
		both.Go(func() {
			goOutByUse(t, a, computing, "/spin?for=60s", "% of the cpu used, 20 % wanted: 1 -> 2 instances")
		})
		both.Go(func() {
			goOutByUse(t, a, hoarding, "/hoard?mib=200", "% of the memory used, 20 % wanted: 1 -> 2 instances")
		})
		both.Wait()
	})
	t.Run("while it sleeps, what is asked for works", func(t *testing.T) { changeAsleep(t, a, sleepy) })
	t.Run("in after a quiet time, without a lost request", func(t *testing.T) {
		goInUnderLoad(t, traffic)
		wantInstances(t, computing, 1)
	})
}

// createScaling creates a service of the pushed image that scales.
func createScaling(t *testing.T, a *apron.Apron, name string, maxConcurrency, maxSize int32, tags map[string]string) *apron.Service {
	configuration, err := a.SDK().CreateAutoScalingConfiguration(t.Context(), &apprunner.CreateAutoScalingConfigurationInput{
		AutoScalingConfigurationName: &name, MaxConcurrency: &maxConcurrency, MaxSize: &maxSize,
	})
	if err != nil {
		t.Error(err)
		return nil
	}
	input := fromImage(name, "scale:live", nil)
	input.AutoScalingConfigurationArn = configuration.AutoScalingConfiguration.AutoScalingConfigurationArn
	for key, value := range tags {
		input.Tags = append(input.Tags, types.Tag{Key: &key, Value: &value})
	}
	return a.MustCreate(t, input)
}

// toldScaling is what the API tells of a service's size.
type toldScaling struct {
	Size, MinSize, MaxSize, InFlight, Waiting, Frozen int
	Reason                                            string
}

func scalingOf(t *testing.T, a *apron.Apron, service *apron.Service) toldScaling {
	t.Helper()
	var output struct{ Scaling toldScaling }
	if err := a.Extension(t.Context(), "DescribeScaling", map[string]string{"ServiceArn": service.ARN}, &output); err != nil {
		t.Fatal(err)
	}
	return output.Scaling
}

func wantInstances(t *testing.T, service *apron.Service, want int) {
	t.Helper()
	apron.Until(t, 30*time.Second, fmt.Sprintf("%d instances", want), func() (bool, error) {
		instances := service.Instances(t)
		return len(instances) == want, fmt.Errorf("there are %+v", instances)
	})
}

// busyConcurrency leaves room for what a test keeps a service busy with, so that one instance is enough for that.
const busyConcurrency = 20

func scaleOut(t *testing.T, a *apron.Apron, service *apron.Service) {
	var requests sync.WaitGroup
	for range 4 * busyConcurrency {
		requests.Go(func() {
			if answer, err := a.TryGet(t.Context(), service.URL, "/slow?for=2s"); err != nil || answer.Status != 200 {
				t.Errorf("a request got %+v (%v)", answer, err)
			}
		})
	}
	wantInstances(t, service, 4)
	requests.Wait()
	wantEvent(t, service, "Scaled out: ")
	if told := scalingOf(t, a, service); told.Size != 4 || told.MinSize != 1 || told.MaxSize != 4 || told.Reason == "" {
		t.Errorf("the scaling is told as %+v", told)
	}
}

// goOutByUse has an instance use more than the target by one request, which says nothing itself.
func goOutByUse(t *testing.T, a *apron.Apron, service *apron.Service, path, reason string) {
	asking, leave := context.WithCancel(t.Context())
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		_, _ = a.TryGet(asking, service.URL, path) // it ends when the client leaves
	}()
	defer func() { leave(); <-answered }()
	wantInstances(t, service, 2)
	wantEvent(t, service, reason)
	if told := a.MustCommand(t, "service", service.Name); !strings.Contains(told, reason) {
		t.Errorf("apron service does not tell %q:\n%s", reason, told)
	}
}

// goInUnderLoad waits until the autoscaler has taken away what the load does not need.
func goInUnderLoad(t *testing.T, b *busy) {
	before := b.long.Told()
	apron.Until(t, 4*time.Minute, "a size of one", func() (bool, error) { return scalingOf(t, b.Apron, b.Service).Size == 1, nil })
	b.wantNoConnectionLost(t, before) // WebSockets go on where they are
	wantEvent(t, b.Service, "Scaled in: ")
	if _, faults := b.long.Stop(); len(faults) > 0 {
		t.Errorf("of what takes long: %q", faults)
	}
	wantInstances(t, b.Service, 1)
	awaitRequests(t, b.requests, 20)
	wantNoFaults(t, b.requests)
}

// burst sends two and a half instances' worth at once to a service with one instance.
func burst(t *testing.T, a *apron.Apron, service *apron.Service) {
	a.WantBody(t, service.URL, "/", "one")
	var requests sync.WaitGroup
	for range 250 {
		requests.Go(func() {
			if answer, err := a.TryGet(t.Context(), service.URL, "/slow?for=3s"); err != nil || answer.Status != 200 {
				t.Errorf("a request got %+v (%v)", answer, err)
			}
		})
	}
	wantInstances(t, service, 3)
	requests.Wait()
	if told := scalingOf(t, a, service); told.Size > 3 {
		t.Errorf("250 requests at once, 100 per instance, made %d instances: %s", told.Size, told.Reason)
	}
	wantInstances(t, service, 0)
}

func sleepAndWake(t *testing.T, a *apron.Apron, service *apron.Service) {
	wantInstances(t, service, 0)
	wantEvent(t, service, "Scaled to zero: no request for ")
	begun := time.Now()
	a.WantBody(t, service.URL, "/", "one")
	t.Logf("the first request to a service at zero took %s", time.Since(begun))
	wantInstances(t, service, 1)
	wantInstances(t, service, 0)
}

func changeAsleep(t *testing.T, a *apron.Apron, service *apron.Service) {
	wantInstances(t, service, 0)
	input := fromImage("sleepy", "scale:live", map[string]string{"VERSION": "two"}).SourceConfiguration
	service.WantOperation(t, service.Update(t, input), "SUCCEEDED")
	wantInstances(t, service, 0)
	a.WantBody(t, service.URL, "/", "two")
	wantInstances(t, service, 0)
	paused, err := a.SDK().PauseService(t.Context(), &apprunner.PauseServiceInput{ServiceArn: &service.ARN})
	if err != nil {
		t.Fatal(err)
	}
	service.WantOperation(t, *paused.OperationId, "SUCCEEDED")
	if answer, err := a.TryGet(t.Context(), service.URL, "/"); err != nil || answer.Status != 503 {
		t.Errorf("while it is paused it answers %+v (%v)", answer, err)
	}
	resumed, err := a.SDK().ResumeService(t.Context(), &apprunner.ResumeServiceInput{ServiceArn: &service.ARN})
	if err != nil {
		t.Fatal(err)
	}
	service.WantOperation(t, *resumed.OperationId, "SUCCEEDED")
	wantInstances(t, service, 0)
	service.Delete(t)
}
