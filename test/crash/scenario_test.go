package crash

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"

	"github.com/apron-run/apron/internal/failpoint"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/sample"
)

// scenario is an operation in a certain situation.
type scenario struct {
	name      string
	operation platform.OperationType
	// isFresh says that each round has a service of its own.
	isFresh bool
	traffic traffic
	// arrange brings the service, and what it is deployed from, into the state in which the operation begins.
	arrange func(t *testing.T, w *world)
	// begin starts the operation. Its error is what the API answered, or that it gave no answer.
	begin func(t *testing.T, w *world) error
	// from and fromMoment are the first point of the matrix, where those before it belong to another scenario.
	from, fromMoment string
}

// traffic is what becomes of the requests to the service.
type traffic int

const (
	noTraffic traffic = iota
	// movesOn: the next version answers after the one before.
	movesOn
	// staysBack: only the version before ever answers.
	staysBack
	// pauses: requests are turned away in the right way in the end.
	pauses
)

// What makes the sample application fail at its start, and never begin to listen.
var (
	broken = map[string]string{"MODE": "exit", "EXIT_CODE": "3"}
	silent = map[string]string{"MODE": "silent"}
)

var scenarios = []scenario{
	{name: "create from an image", operation: platform.OperationCreateService, isFresh: true,
		arrange: pushNext(nil), begin: createService(fromImage)},
	{name: "create from code", operation: platform.OperationCreateService, isFresh: true,
		arrange: commitNext, begin: createService(fromCode)},
	{name: "create what fails", operation: platform.OperationCreateService, isFresh: true,
		arrange: pushNext(broken), begin: createService(fromImage)},
	{name: "deploy an image", operation: platform.OperationStartDeployment, traffic: movesOn,
		arrange: all(running, pushNext(nil)), begin: deploy},
	{name: "deploy code", operation: platform.OperationStartDeployment, traffic: movesOn,
		arrange: all(runningFromCode, commitNext), begin: deploy},
	{name: "deploy what fails", operation: platform.OperationStartDeployment, traffic: staysBack,
		arrange: all(running, pushNext(broken)), begin: deploy},
	{name: "cancel a deployment", operation: platform.OperationStartDeployment, traffic: staysBack,
		arrange: all(running, pushNext(silent)), begin: deployAndCancel, from: failpoint.Cancel, fromMoment: failpoint.AfterRecord},
	{name: "update the configuration", operation: platform.OperationUpdateService, traffic: movesOn,
		arrange: running, begin: update(sameImage, nil)},
	{name: "update to what fails", operation: platform.OperationUpdateService, traffic: staysBack,
		arrange: running, begin: update(sameImage, broken)},
	{name: "update the image", operation: platform.OperationUpdateService, traffic: movesOn,
		arrange: all(running, pushTag), begin: update(otherImage, nil)},
	{name: "update after a failed creation", operation: platform.OperationUpdateService, isFresh: true,
		arrange: all(failedCreation, pushTag), begin: update(otherImage, nil)},
	{name: "roll back", operation: platform.OperationUpdateService, traffic: movesOn,
		arrange: twoRevisions, begin: rollBack},
	{name: "pause", operation: platform.OperationPauseService, traffic: pauses,
		arrange: resumed, begin: pause},
	{name: "resume", operation: platform.OperationResumeService,
		arrange: paused, begin: resume},
	{name: "delete", operation: platform.OperationDeleteService, isFresh: true,
		arrange: running, begin: remove},
}

func all(steps ...func(*testing.T, *world)) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		t.Helper()
		for _, step := range steps {
			step(t, w)
		}
	}
}

// push pushes the sample application of a version, and notes which digest that is.
func (w *world) push(t *testing.T, tag, version string, environment map[string]string) {
	t.Helper()
	image := sample.Image(t, sample.Variant{Version: version, Environment: environment})
	w.Push(t, tag, image)
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	w.versions[digest.String()] = version
}

func (w *world) liveTag() string { return w.slug + ":live" }

// pushNext pushes the next version to the tag that the service follows.
func pushNext(environment map[string]string) func(*testing.T, *world) {
	return func(t *testing.T, w *world) { w.push(t, w.liveTag(), w.next, environment) }
}

// pushTag pushes the next version to a tag of its own.
func pushTag(t *testing.T, w *world) { w.push(t, otherImage(w), w.next, nil) }

func sameImage(w *world) string  { return w.liveTag() }
func otherImage(w *world) string { return fmt.Sprintf("%s:%d", w.slug, w.round) }

// commitNext commits the next version. It is built on the image of the sample application, which is pushed once.
func commitNext(t *testing.T, w *world) {
	t.Helper()
	dockerfile := map[string]string{"Dockerfile": fmt.Sprintf("FROM %s/base:live\nENV VERSION=%q\n", w.API, w.next)}
	if w.repository == nil {
		w.push(t, "base:live", "base", nil)
		w.repository = sample.NewRepository(w.parent, dockerfile)
	} else {
		w.repository.Commit(w.next, dockerfile)
	}
	w.versions[w.repository.Head()] = w.next
}

// running makes sure that the service runs; the version that it answers with is before.
func running(t *testing.T, w *world) {
	t.Helper()
	w.settle(t, fromImage, pushNext(nil))
}

func runningFromCode(t *testing.T, w *world) {
	t.Helper()
	w.settle(t, fromCode, commitNext)
}

// settle creates the service in the first round; afterwards what answers now is the version before.
func (w *world) settle(t *testing.T, input func(*world) *apprunner.CreateServiceInput, provide func(*testing.T, *world)) {
	t.Helper()
	if w.service == nil {
		provide(t, w)
		w.service = w.MustCreate(t, input(w))
		w.round++
		w.next = fmt.Sprint("version ", w.round)
	}
	w.before = w.Get(t, w.service.URL, "/").Body
}

func failedCreation(t *testing.T, w *world) {
	t.Helper()
	w.push(t, w.liveTag(), "version 0", broken)
	service, id := w.Create(t, fromImage(w))
	service.WantOperation(t, id, "FAILED")
	w.service = service
}

// twoRevisions makes sure that there is a revision to go back to, with another version.
func twoRevisions(t *testing.T, w *world) {
	t.Helper()
	if w.service == nil {
		running(t, w)
		w.next = fmt.Sprint("version ", w.round)
		pushNext(nil)(t, w)
		w.service.MustDeploy(t)
		w.before, w.next = w.next, w.before
		return
	}
	w.next, w.before = w.before, w.Get(t, w.service.URL, "/").Body
}

func resumed(t *testing.T, w *world) {
	t.Helper()
	if w.service != nil {
		w.must(t, resume)
	}
	running(t, w)
}

func paused(t *testing.T, w *world) {
	t.Helper()
	running(t, w)
	w.next = w.before
	w.must(t, pause)
}

// must runs an operation to its good end.
func (w *world) must(t *testing.T, begin func(*testing.T, *world) error) {
	t.Helper()
	if err := begin(t, w); err != nil {
		t.Fatal(err)
	}
	output, err := w.SDK().ListOperations(t.Context(), &apprunner.ListOperationsInput{ServiceArn: &w.service.ARN})
	if err != nil {
		t.Fatal(err)
	}
	w.service.WantOperation(t, *output.OperationSummaryList[0].Id, "SUCCEEDED")
}

func createService(input func(*world) *apprunner.CreateServiceInput) func(*testing.T, *world) error {
	return func(t *testing.T, w *world) error {
		_, err := w.SDK().CreateService(t.Context(), input(w))
		return err
	}
}

func deploy(t *testing.T, w *world) error {
	_, err := w.SDK().StartDeployment(t.Context(), &apprunner.StartDeploymentInput{ServiceArn: &w.service.ARN})
	return err
}

// deployAndCancel cancels while the new instance is waited for, which never answers.
func deployAndCancel(t *testing.T, w *world) error {
	id := w.service.Deploy(t)
	apron.Until(t, time.Minute, "the health check", func() (bool, error) {
		operation, err := w.service.Operation(t.Context(), id)
		return operation.HasReached("health check"), err
	})
	var output any
	return w.Extension(t.Context(), "CancelOperation", map[string]string{"ServiceArn": w.service.ARN}, &output)
}

func update(image func(*world) string, environment map[string]string) func(*testing.T, *world) error {
	return func(t *testing.T, w *world) error {
		variables := map[string]string{"VERSION": w.next}
		for key, value := range environment {
			variables[key] = value
		}
		_, err := w.SDK().UpdateService(t.Context(), &apprunner.UpdateServiceInput{
			ServiceArn: &w.service.ARN, SourceConfiguration: imageSource(image(w), variables),
		})
		return err
	}
}

func rollBack(t *testing.T, w *world) error {
	var output any
	return w.Extension(t.Context(), "RollbackService", map[string]string{"ServiceArn": w.service.ARN}, &output)
}

func pause(t *testing.T, w *world) error {
	_, err := w.SDK().PauseService(t.Context(), &apprunner.PauseServiceInput{ServiceArn: &w.service.ARN})
	return err
}

func resume(t *testing.T, w *world) error {
	_, err := w.SDK().ResumeService(t.Context(), &apprunner.ResumeServiceInput{ServiceArn: &w.service.ARN})
	return err
}

func remove(t *testing.T, w *world) error {
	_, err := w.SDK().DeleteService(t.Context(), &apprunner.DeleteServiceInput{ServiceArn: &w.service.ARN})
	return err
}

func fromImage(w *world) *apprunner.CreateServiceInput {
	return input(w, imageSource(w.liveTag(), nil))
}

func fromCode(w *world) *apprunner.CreateServiceInput {
	made := input(w, &types.SourceConfiguration{
		AutoDeploymentsEnabled: new(false),
		CodeRepository: &types.CodeRepository{
			RepositoryUrl:     &w.repository.Dir,
			SourceCodeVersion: &types.SourceCodeVersion{Type: types.SourceCodeVersionTypeBranch, Value: new("main")},
			CodeConfiguration: &types.CodeConfiguration{ConfigurationSource: types.ConfigurationSourceRepository},
		},
	})
	made.Tags = []types.Tag{{Key: new("apron:build"), Value: new("dockerfile")}}
	return made
}

func input(w *world, source *types.SourceConfiguration) *apprunner.CreateServiceInput {
	return &apprunner.CreateServiceInput{
		ServiceName: new(w.serviceName()), SourceConfiguration: source,
		InstanceConfiguration: &types.InstanceConfiguration{Cpu: new("0.25 vCPU"), Memory: new("0.5 GB")},
	}
}

func imageSource(image string, environment map[string]string) *types.SourceConfiguration {
	return &types.SourceConfiguration{
		AutoDeploymentsEnabled: new(false),
		ImageRepository: &types.ImageRepository{
			ImageIdentifier: &image, ImageRepositoryType: types.ImageRepositoryTypeEcr,
			ImageConfiguration: &types.ImageConfiguration{Port: new("8080"), RuntimeEnvironmentVariables: environment},
		},
	}
}
