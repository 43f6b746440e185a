package conformance

import (
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/sample"
)

// parallel is how many aprons there are at a time: one for each client. They wait more than they work.
const parallel = "4"

func TestMain(m *testing.M) {
	flag.Set("test.parallel", parallel)
	os.Exit(m.Run())
}

// connects are the clients, each by what connects it to an apron.
var connects = map[string]func(at where, dir string) (Client, error){awsCLI: newCLI, boto3: newBoto3, jsSDK: newJS, goSDK: newGo}

// TestEveryClientGetsTheSameAnswers runs the script by each client, and compares docs/compatibility.md with what came
// of it. With APRON_COMPATIBILITY=write it writes that file instead. -run chooses clients and chapters:
//
//	go test -run 'Answers/clients/boto3/tags' ./test/conformance
func TestEveryClientGetsTheSameAnswers(t *testing.T) {
	var mu sync.Mutex // guards runs
	runs := map[string]Run{}
	t.Run("clients", func(t *testing.T) {
		for _, name := range clientNames {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				run := runScript(t, name)
				mu.Lock()
				defer mu.Unlock()
				runs[name] = run
			})
		}
	})
	chapters := script()
	for _, name := range clientNames {
		if len(runs[name].Chapters) != len(chapters) {
			return // not all of it was asked for
		}
	}
	compareCompatibility(t, Compatibility(runs))
}

// quotas are App Runner's own, but for services, of which the script has three at a time.
var quotas = []string{"--quota=apprunner", "--quota=services=3"}

// runScript runs the chapters by one client on an apron of its own.
func runScript(t *testing.T, name string) Run {
	a := start(t, quotas...)
	client, at := connect(t, a, name)
	run := Run{Version: client.Version(), Chapters: map[string][]Result{}}
	for _, chapter := range script() {
		t.Run(chapter.Name, func(t *testing.T) {
			steps := runner{
				client: client, region: at.region, push: func(push Push) error { return pushImage(a, push) },
				variables: object{"home": "arn:aws:apprunner:" + at.region + ":000000000000"},
			}
			for i, step := range chapter.Steps {
				t.Run(fmt.Sprintf("%02d %s", i+1, step.Name), func(t *testing.T) {
					result := steps.run(t.Context(), step)
					run.Chapters[chapter.Name] = append(run.Chapters[chapter.Name], result)
					switch result.Verdict {
					case Failed:
						t.Errorf("%s: %s", step.Action, result.Why)
					case Older:
						t.Skipf("%s %s is older than this", name, client.Version())
					}
				})
			}
			if t.Failed() {
				tidy(t, a)
			}
		})
	}
	return run
}

// start starts an apron on which every subnet's id stands for a network, as the ids of a script have no other meaning.
func start(t *testing.T, flags ...string) *apron.Apron {
	t.Helper()
	a := apron.Start(t, flags...)
	a.MustCommand(t, "network", "create", "vpc", "--subnet-id", "*")
	return a
}

// tidy deletes the services that a chapter has left when it failed, so that the next one begins as it should.
func tidy(t *testing.T, a *apron.Apron) {
	services, err := a.SDK().ListServices(t.Context(), &apprunner.ListServicesInput{})
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range services.ServiceSummaryList {
		apron.Until(t, operationTime, "the end of "+*service.ServiceName, func() (bool, error) {
			_, err := a.SDK().DeleteService(t.Context(), &apprunner.DeleteServiceInput{ServiceArn: service.ServiceArn})
			return isNotFound(err), err
		})
	}
}

// connect makes a client of the apron.
func connect(t *testing.T, a *apron.Apron, name string) (Client, where) {
	t.Helper()
	keys, err := a.Keys()
	if err != nil {
		t.Fatal(err)
	}
	at := where{a.Endpoint(), a.Region, keys.AccessKeyID, keys.SecretAccessKey}
	client, err := connects[name](at, t.TempDir())
	if err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Errorf("end %s: %v", name, err)
		}
	})
	return client, at
}

// pushImage pushes a version of the sample application to the embedded registry.
func pushImage(a *apron.Apron, push Push) error {
	image, err := sample.MakeImage(sample.Variant{Version: push.Version, Environment: push.Environment})
	if err != nil {
		return err
	}
	keys, err := a.Keys()
	if err != nil {
		return err
	}
	reference, err := name.ParseReference(a.API + "/" + push.Tag)
	if err != nil {
		return err
	}
	auth := remote.WithAuth(&authn.Basic{Username: keys.AccessKeyID, Password: keys.SecretAccessKey})
	return remote.Write(reference, image, auth)
}

// Steps are told by their names.
func TestStepsHaveNames(t *testing.T) {
	for _, chapter := range script() {
		for i, step := range chapter.Steps {
			if step.Name == "" || step.Action == "" && step.Image == nil {
				t.Errorf("step %d of %s has no name or no action: %+v", i+1, chapter.Name, step)
			}
			if step.Error != "" && (step.Want != nil || step.WantNew != nil || step.Save != nil) {
				t.Errorf("%s of %s wants both an error and an output", step.Name, chapter.Name)
			}
		}
	}
}
