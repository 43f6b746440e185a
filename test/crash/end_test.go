package crash

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	client "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/snapshots"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"

	"github.com/apron-run/apron/internal/compute/containerd"
	"github.com/apron-run/apron/test/apron"
)

// end is what an operation leaves behind, without what differs from one round to the next.
type end struct {
	Operation, Service string
	// Steps are the names of the steps with their outcomes.
	Steps   []string
	Failure string
	// Configuration is the service's source.
	Configuration string
	// Active says which version the active revision's image is.
	Active string
	// Instances are those that run, by the revision that they are of.
	Instances []string
	// Answer is what the service's URL answers.
	Answer string
	// Told is the event log of the operation. One that was killed may have told more, and some of it twice.
	Told []string
}

// end reads how the operation has left the service, once what leaves has left.
func (w *world) end(t *testing.T, operation apron.Operation) end {
	t.Helper()
	service := w.service.Describe(t)
	found := end{Operation: operation.Status, Service: string(service.Status), Configuration: w.plain(configuration(service))}
	for _, step := range operation.Steps {
		found.Steps = append(found.Steps, step.Name+" "+step.State)
	}
	if failure := operation.Failure; failure != nil {
		found.Failure = w.plain(failure.Step + ": " + failure.Cause)
	}
	revisions := w.revisions(t)
	active := ""
	for _, each := range revisions {
		if each.IsActive {
			active = each.ID
			if found.Active = "an earlier version"; w.versionOf(each) == w.next {
				found.Active = "the next version"
			}
		}
	}
	var left error
	apron.Until(t, settleTimeout, "what is not needed to go", func() (bool, error) {
		left = w.left(t, revisions)
		return left == nil, left
	})
	for _, each := range w.service.Instances(t) {
		of := "another revision"
		if each.RevisionID == active {
			of = "the active revision"
		}
		found.Instances = append(found.Instances, each.State+", of "+of)
	}
	answer := w.Get(t, w.service.URL, "/")
	found.Answer = fmt.Sprint(answer.Status)
	if answer.Status == http.StatusOK {
		found.Answer += " " + w.plain(answer.Body)
	}
	for _, line := range w.told(t) {
		line = ids.ReplaceAllString(w.plain(line), "ID")
		line = afterwards.ReplaceAllString(line, "")
		if !onTheWay.MatchString(line) {
			found.Told = append(found.Told, line)
		}
	}
	return found
}

// ids are those of operations, revisions and instances.
var ids = regexp.MustCompile("[0-9a-f]{32}")

// onTheWay is what is said right after a record, and then again by what follows; and what was seen of one instance or another
// before its end.
var onTheWay = regexp.MustCompile("Service (creation|update) started|is being cancelled|Successfully routed incoming traffic|" +
	"nothing listens on")

// afterwards is when something was seen, and how much was left to remove.
var afterwards = regexp.MustCompile(`\+[0-9.]+ s: |(nothing had started|[0-9]+ instances? removed); `)

// told is what the service's event log holds since the operation began.
func (w *world) told(t *testing.T) []string {
	if w.service.Describe(t).Status == types.ServiceStatusDeleted {
		return nil // its logs have gone with it
	}
	return w.service.Lines(t, "events")[w.toldBefore:]
}

// plain takes out what differs from one round to the next.
func (w *world) plain(text string) string {
	pairs := []string{w.service.Name, "NAME", otherImage(w), "IMAGE"}
	if w.repository != nil {
		pairs = append(pairs, w.repository.Dir, "REPOSITORY")
	}
	text = strings.NewReplacer(pairs...).Replace(text)
	for version, name := range map[string]string{w.next: "the next version", w.before: "the version before"} {
		if version != "" && text == version {
			return name
		}
		if version != "" {
			text = strings.ReplaceAll(text, version+"\n", name+"\n")
		}
	}
	return text
}

// configuration tells the part of a service's configuration that the scenarios change.
func configuration(service types.Service) string {
	source := service.SourceConfiguration
	if code := source.CodeRepository; code != nil {
		return aws.ToString(code.RepositoryUrl)
	}
	image := source.ImageRepository
	text := aws.ToString(image.ImageIdentifier) + "\n"
	var variables []string
	for key, value := range image.ImageConfiguration.RuntimeEnvironmentVariables {
		variables = append(variables, key+"="+value+"\n")
	}
	slices.Sort(variables)
	return text + strings.Join(variables, "")
}

type revision struct {
	ID                  string `json:"Id"`
	Number              int
	IsActive            bool
	ImageDigest, Commit string
}

// revisions lists the service's revisions; a deleted service has none.
func (w *world) revisions(t *testing.T) []revision {
	t.Helper()
	if w.service.Describe(t).Status == types.ServiceStatusDeleted {
		return nil
	}
	var output struct{ Revisions []revision }
	if err := w.Extension(t.Context(), "ListRevisions", map[string]string{"ServiceArn": w.service.ARN}, &output); err != nil {
		t.Fatal(err)
	}
	return output.Revisions
}

// versionOf is the version that a revision is of.
func (w *world) versionOf(of revision) string {
	if of.Commit != "" {
		return w.versions[of.Commit]
	}
	return w.versions[of.ImageDigest]
}

// left is an error as long as there is more on the machine than the services that there are need.
func (w *world) left(t *testing.T, revisions []revision) error {
	t.Helper()
	var wanted []string
	for _, each := range revisions {
		wanted = append(wanted, each.ImageDigest)
	}
	slices.Sort(wanted)
	wanted = slices.Compact(wanted)
	engine, err := client.New(filepath.Join(w.Data, "run/containerd.sock"), client.WithDefaultNamespace(containerd.Namespace))
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	images, err := w.images(t.Context(), engine)
	if err != nil {
		t.Fatal(err)
	}
	errs := []error{compare("images", images, wanted)}

	var running []string
	for _, service := range w.services(t) {
		for _, each := range service.Instances(t) {
			running = append(running, each.ID)
		}
	}
	slices.Sort(running)
	if instances := w.service.Instances(t); len(instances) > 1 {
		errs = append(errs, fmt.Errorf("there are %d instances", len(instances)))
	}
	for _, folder := range []string{"instances", "run/netns", "run/containerd/io.containerd.runtime.v2.task/apron"} {
		errs = append(errs, compare(folder, w.Dirs(t, folder), running))
	}
	var views []string // what has other names belongs to BuildKit
	err = engine.SnapshotService("overlayfs").Walk(t.Context(), func(_ context.Context, info snapshots.Info) error {
		if info.Kind == snapshots.KindView && apron.IsInstanceID(info.Name) {
			views = append(views, info.Name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	errs = append(errs, compare("snapshots", views, running))
	checkouts, err := os.ReadDir(filepath.Join(w.Data, "sources"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if len(checkouts) > 0 {
		errs = append(errs, fmt.Errorf("there is the checkout %s", checkouts[0].Name()))
	}
	return errors.Join(errs...)
}

// images lists the digests of the service's images, each as often as it has a name.
func (w *world) images(ctx context.Context, engine *client.Client) ([]string, error) {
	all, err := engine.ImageService().List(ctx)
	var digests []string
	for _, each := range all {
		if strings.Contains(each.Name, w.service.ID) {
			digests = append(digests, each.Target.Digest.String())
		}
	}
	slices.Sort(digests)
	return digests, err
}

func compare(what string, got, want []string) error {
	slices.Sort(got)
	if !slices.Equal(got, want) {
		return fmt.Errorf("%s: there are %v, needed are %v", what, got, want)
	}
	return nil
}
