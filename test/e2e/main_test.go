// Package e2e tests the whole of apron: the real program on a clean data directory, with real containers, asked by real
// clients.
//
// An apron takes seconds to start, so most tests share one and tell their services apart by name. Those that stop or kill
// apron, or whose story begins on a clean data directory, have one of their own. Every apron is searched for leftovers
// when it is closed.
package e2e

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/sample"
)

// parallel is how many tests run at a time. They wait more than they work: a health check that fails takes 60 seconds.
const parallel = "6"

var (
	sharing    sync.Mutex // guards theShared
	theShared  *apron.Apron
	sharedFail error
)

func TestMain(m *testing.M) {
	flag.Set("test.parallel", parallel)
	code := m.Run()
	if theShared != nil {
		if err := theShared.Close(); err != nil {
			fmt.Println("close the shared apron:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// shared returns the apron that tests share, and starts it for the first of them.
func shared(t *testing.T) *apron.Apron {
	t.Helper()
	sharing.Lock()
	defer sharing.Unlock()
	if theShared == nil && sharedFail == nil {
		theShared, sharedFail = apron.Open()
	}
	if sharedFail != nil {
		t.Fatal(sharedFail)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of the shared apron's log:\n%s", theShared.LogTail(60))
		}
	})
	return theShared
}

// push pushes a variant of the sample application to the embedded registry, as `crane push` does.
func push(t *testing.T, a *apron.Apron, tag string, variant sample.Variant) v1.Image {
	t.Helper()
	image := sample.Image(t, variant)
	a.Push(t, tag, image)
	return image
}

// small is the smallest instance that is offered.
var small = &types.InstanceConfiguration{Cpu: ptr("0.25 vCPU"), Memory: ptr("0.5 GB")}

// fromImage is a service of an image, by the settings that a test cares for.
func fromImage(service, image string, environment map[string]string) *apprunner.CreateServiceInput {
	return &apprunner.CreateServiceInput{
		ServiceName: &service, InstanceConfiguration: small,
		SourceConfiguration: imageSource(image, environment),
	}
}

func imageSource(image string, environment map[string]string) *types.SourceConfiguration {
	return &types.SourceConfiguration{
		AutoDeploymentsEnabled: ptr(false),
		ImageRepository: &types.ImageRepository{
			ImageIdentifier: &image, ImageRepositoryType: types.ImageRepositoryTypeEcr,
			ImageConfiguration: &types.ImageConfiguration{Port: ptr("8080"), RuntimeEnvironmentVariables: environment},
		},
	}
}

// fromCode is a service of a repository's branch main, built as its apprunner.yaml says.
func fromCode(service, repository string) *apprunner.CreateServiceInput {
	return &apprunner.CreateServiceInput{
		ServiceName: &service, InstanceConfiguration: small,
		SourceConfiguration: &types.SourceConfiguration{
			AutoDeploymentsEnabled: ptr(false),
			CodeRepository: &types.CodeRepository{
				RepositoryUrl:     &repository,
				SourceCodeVersion: &types.SourceCodeVersion{Type: types.SourceCodeVersionTypeBranch, Value: ptr("main")},
				CodeConfiguration: &types.CodeConfiguration{ConfigurationSource: types.ConfigurationSourceRepository},
			},
		},
	}
}

// built makes the service's code configuration the given values instead of apprunner.yaml.
func built(input *apprunner.CreateServiceInput, values types.CodeConfigurationValues) *apprunner.CreateServiceInput {
	input.SourceConfiguration.CodeRepository.CodeConfiguration = &types.CodeConfiguration{
		ConfigurationSource: types.ConfigurationSourceApi, CodeConfigurationValues: &values,
	}
	return input
}

// wantFailure fails the test unless the operation has failed with what to try, and with a cause, a remedy or evidence that
// holds every text.
func wantFailure(t *testing.T, operation apron.Operation, texts ...string) {
	t.Helper()
	if operation.Failure == nil {
		t.Fatalf("the operation has no failure: %s", operation)
	}
	if operation.Failure.Remedy == "" {
		t.Errorf("the failure does not tell what to try: %s", operation)
	}
	told := strings.ToLower(operation.Failure.Cause + "\n" + operation.Failure.Remedy + "\n" + strings.Join(operation.Failure.Evidence, "\n"))
	for _, text := range texts {
		if !strings.Contains(told, strings.ToLower(text)) {
			t.Errorf("the failure does not tell %q: %s", text, operation)
		}
	}
}

func ptr[T any](value T) *T { return &value }
