package chaos

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/load"
	"github.com/apron-run/apron/test/sample"
)

// healthTimeout is how long new instances may take, so that a round with one that never listens is not a minute long.
const healthTimeout = "20s"

// world is one apron with its services.
type world struct {
	t       testing.TB
	apron   *apron.Apron
	machine *machine
	watcher *watcher
	slots   []*slot
	// configurations are the auto scaling configurations' ARNs by MinSize, sizes the other way round.
	configurations map[int]string
	sizes          map[string]int
	// cuts are when there was no proxy, in this round and the one before.
	cuts []span
	// seen are the operations that were checked.
	seen map[string]bool
	// killing keeps kills of apron apart: it must have been started again before the next.
	killing sync.Mutex
}

// slot is a place for one service, which may be deleted and made again.
type slot struct {
	index int
	name  string
	// repository is the source; nil for an image.
	repository *sample.Repository
	// size is the MinSize, wasSize what it was a round ago.
	size, wasSize int

	// service is nil while there is none.
	service *apron.Service
	// services counts those that the slot has had, versions those that were pushed or committed.
	services, versions int
	// serving is the version that should answer; empty when that is not known.
	serving string
	// load is nil while the service has never run; isLoadOver says that it has ended.
	load       *load.Load
	isLoadOver bool
	// pauses are when refusals are right; deaths are those of this round and the one before.
	pauses []span
	deaths []death
}

// newWorld starts an apron with one service in each slot.
func newWorld(t testing.TB) *world {
	t.Helper()
	a := apron.Start(t, "--deadline=health-check="+healthTimeout)
	w := &world{
		t: t, apron: a, machine: newMachine(t, a), watcher: newWatcher(a), configurations: map[int]string{}, sizes: map[string]int{}, seen: map[string]bool{},
	}
	w.makeConfiguration(1)
	w.makeConfiguration(2)
	w.slots = []*slot{
		{index: 0, name: "image-one", size: 1}, {index: 1, name: "image-two", size: 2},
		{index: 2, name: "code-one", size: 1, repository: sample.NewRepository(t, sample.ServerApp(t, "0", "true"))},
		{index: 3, name: "code-two", size: 2, repository: sample.NewRepository(t, sample.ServerApp(t, "0", "true"))},
	}
	for _, each := range w.slots {
		version := w.prepare(each, goodVariant, 0)
		id, err := w.create(t.Context(), each)
		if err != nil {
			t.Fatal(err)
		}
		each.service.WantOperation(t, id, "SUCCEEDED")
		w.startLoad(each)
		each.serving = version
	}
	watching, stop := context.WithCancel(context.Background())
	var watch sync.WaitGroup
	watch.Go(func() { w.watcher.run(watching) })
	t.Cleanup(func() { stop(); watch.Wait() })
	return w
}

func (w *world) makeConfiguration(size int) {
	w.t.Helper()
	made, err := w.apron.SDK().CreateAutoScalingConfiguration(w.t.Context(), &apprunner.CreateAutoScalingConfigurationInput{
		AutoScalingConfigurationName: aws.String(fmt.Sprint("size-", size)), MinSize: aws.Int32(int32(size)), MaxSize: aws.Int32(int32(size)),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	arn := *made.AutoScalingConfiguration.AutoScalingConfigurationArn
	w.configurations[size], w.sizes[arn] = arn, size
}

func (w *world) startLoad(s *slot) {
	s.isLoadOver = false
	s.load = load.Start(w.t, w.apron.Client, s.service.URL, "", requestRate)
}

// variant is what a deployment is of.
type variant int

const (
	goodVariant variant = iota
	badVariant
)

// prepare pushes or commits a version and returns it. Bad ones end at once, never listen, or do not build, as pick says.
func (w *world) prepare(s *slot, v variant, pick int) (version string) {
	w.t.Helper()
	s.versions++
	version = fmt.Sprintf("%s-%d", s.name, s.versions)
	if v == badVariant {
		version = fmt.Sprintf("%s-%s", brokenVersion, version)
	}
	if s.repository != nil {
		command := "true"
		if v == badVariant {
			command = "echo the build fails; exit 3"
		}
		s.repository.Commit(version, sample.ServerApp(w.t, version, command))
		return version
	}
	environment := map[string]string{}
	if v == badVariant {
		environment["MODE"], environment["EXIT_CODE"] = "exit", "3"
		if pick%4 == 0 {
			environment["MODE"] = "silent"
		}
	}
	w.push(s, sample.Variant{Version: version, Environment: environment})
	return version
}

func (w *world) push(s *slot, variant sample.Variant) {
	w.t.Helper()
	keys, err := w.apron.Keys()
	if err != nil {
		w.t.Fatal(err)
	}
	reference, err := name.ParseReference(w.apron.API + "/" + s.image())
	if err != nil {
		w.t.Fatal(err)
	}
	auth := remote.WithAuth(&authn.Basic{Username: keys.AccessKeyID, Password: keys.SecretAccessKey})
	if err := remote.Write(reference, sample.Image(w.t, variant), auth); err != nil {
		w.t.Fatalf("push %s: %v", s.image(), err)
	}
}

func (s *slot) image() string { return s.name + ":live" }

// source is where the slot's service comes from.
func (s *slot) source() *types.SourceConfiguration {
	if s.repository == nil {
		return &types.SourceConfiguration{
			AutoDeploymentsEnabled: aws.Bool(false),
			ImageRepository: &types.ImageRepository{
				ImageIdentifier: aws.String(s.image()), ImageRepositoryType: types.ImageRepositoryTypeEcr,
			},
		}
	}
	return &types.SourceConfiguration{
		AutoDeploymentsEnabled: aws.Bool(false),
		CodeRepository: &types.CodeRepository{
			RepositoryUrl:     &s.repository.Dir,
			SourceCodeVersion: &types.SourceCodeVersion{Type: types.SourceCodeVersionTypeBranch, Value: aws.String("main")},
			CodeConfiguration: &types.CodeConfiguration{ConfigurationSource: types.ConfigurationSourceRepository},
		},
	}
}

// create calls CreateService for an empty slot.
func (w *world) create(ctx context.Context, s *slot) (operation string, err error) {
	output, err := w.apron.SDK().CreateService(ctx, &apprunner.CreateServiceInput{
		ServiceName: aws.String(s.serviceName()), SourceConfiguration: s.source(),
		InstanceConfiguration:       &types.InstanceConfiguration{Cpu: aws.String("0.25 vCPU"), Memory: aws.String("0.5 GB")},
		AutoScalingConfigurationArn: aws.String(w.configurations[s.size]),
	})
	if err != nil {
		return "", err
	}
	w.hold(s, output.Service)
	return *output.OperationId, nil
}

func (s *slot) serviceName() string { return fmt.Sprintf("%s-%d", s.name, s.services) }

func (w *world) hold(s *slot, service *types.Service) {
	s.services++
	s.service = w.apron.Hold(service)
	w.watcher.follow(s.service.ARN, s.index)
}

// find looks for the service of a CreateService that had no answer.
func (w *world) find(ctx context.Context, s *slot) error {
	pages := apprunner.NewListServicesPaginator(w.apron.SDK(), &apprunner.ListServicesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, each := range page.ServiceSummaryList {
			if *each.ServiceName == s.serviceName() {
				w.hold(s, &types.Service{ServiceArn: each.ServiceArn, ServiceId: each.ServiceId, ServiceName: each.ServiceName, ServiceUrl: each.ServiceUrl})
				return nil
			}
		}
	}
	return nil
}
