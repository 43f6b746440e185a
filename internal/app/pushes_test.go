package app

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/pushed"
	"github.com/apron-run/apron/internal/source"
	"github.com/apron-run/apron/internal/source/git"
	"github.com/apron-run/apron/internal/source/gitserver"
	"github.com/apron-run/apron/internal/source/registry"
	"github.com/apron-run/apron/internal/source/registryserver"
	"github.com/apron-run/apron/internal/source/watch"
	"github.com/apron-run/apron/internal/store"
)

// hasAll is a registry to which everything was pushed.
type hasAll struct{}

func (hasAll) Has(context.Context, string) (bool, error) { return true, nil }

// noOperations is a store of services that nothing was done with yet.
type noOperations struct{ pushed.Store }

func (noOperations) ListServices(context.Context, store.ServicePage) ([]platform.Service, error) {
	return nil, nil
}

func (noOperations) ListOperations(context.Context, platform.ServiceID, store.OperationPage) ([]platform.Operation, error) {
	return nil, nil
}

func TestAPushIsAboutTheServicesThatAreMadeFromIt(t *testing.T) {
	const account = "000000000000.dkr.ecr.us-east-1.amazonaws.com"
	var services []platform.Service
	add := func(name string, source platform.Source) {
		source.IsAutoDeployed = true
		service := platform.Service{ID: platform.ServiceID(name), Name: name}
		service.Configuration.Source = source
		services = append(services, service)
	}
	for name, code := range map[string]platform.CodeSource{
		"its repository":          {RepositoryURL: "http://127.0.0.1:8700/git/app.git", Branch: "main"},
		"under another name":      {RepositoryURL: "http://user:secret@localhost:8700/git/app", Branch: "main"},
		"a folder of it":          {RepositoryURL: "http://127.0.0.1:8700/git/app.git", Branch: "main", Directory: "/web"},
		"another branch":          {RepositoryURL: "http://127.0.0.1:8700/git/app.git", Branch: "next"},
		"another repository":      {RepositoryURL: "http://127.0.0.1:8700/git/application.git", Branch: "main"},
		"another server":          {RepositoryURL: "http://git.test/git/app.git", Branch: "main"},
		"another port":            {RepositoryURL: "http://127.0.0.1/git/app.git", Branch: "main"},
		"a repository by SSH":     {RepositoryURL: "git@127.0.0.1:git/app.git", Branch: "main"},
		"whoever pushed does it":  {RepositoryURL: "http://127.0.0.1:8700/git/app.git", Branch: "main"},
		"a URL that is no URL":    {RepositoryURL: "http://[::1", Branch: "main"},
		"another path on apron's": {RepositoryURL: "http://127.0.0.1:8700/v2/app.git", Branch: "main"},
	} {
		add(name, platform.Source{Code: &code})
	}
	for name, identifier := range map[string]string{
		"its image":               "127.0.0.1:8700/team/app:live",
		"its image without a tag": "127.0.0.1:8700/team/app",
		"as in ECR":               account + "/team/app:live",
		"without a registry":      "team/app:live",
		"another tag":             "127.0.0.1:8700/team/app:next",
		"another image":           "127.0.0.1:8700/app:live",
		"another registry":        "registry.test/team/app:live",
		"by digest":               "127.0.0.1:8700/team/app:live@sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b",
		"no image":                "not an image",
	} {
		add(name, platform.Source{Image: &platform.ImageSource{Identifier: identifier}})
	}

	asked := map[platform.Trigger][]string{}
	endpoint := source.NewEndpoint("127.0.0.1:8700")
	repositories := git.New(git.Config{Data: t.TempDir(), Endpoint: endpoint})
	images := registry.New(registry.Config{Data: t.TempDir(), Endpoint: endpoint, Embedded: hasAll{}})
	pushes := newPushes(watch.New(watch.Config{
		Services: func(context.Context) ([]platform.Service, error) { return services, nil },
		Serves:   func(context.Context, platform.Service) (string, error) { return "", nil },
		Ask: func(_ context.Context, id platform.ServiceID, wish platform.Wish) error {
			asked[wish.Trigger] = append(asked[wish.Trigger], string(id))
			return nil
		},
		Event: func(id platform.ServiceID, format string, args ...any) {
			told := platform.Trigger(fmt.Sprintf(format, args...))
			asked[told] = append(asked[told], string(id))
		},
		Sources: sources{repositories: repositories},
	}), repositories, images, &pushed.Teller{Store: noOperations{}}, slog.New(slog.DiscardHandler))
	const commit, digest = "1111111111111111111111111111111111111111", "sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b"
	pushes.ofBranch(t.Context(), gitserver.Push{Repository: "app", Branch: "main", Commit: commit, Except: "whoever pushed does it"})
	pushes.ofBranch(t.Context(), gitserver.Push{Repository: "app", Branch: "next", Commit: commit, IsForced: true})
	pushes.ofBranch(t.Context(), gitserver.Push{Repository: "application", Branch: "main"})
	pushes.ofTag(t.Context(), registryserver.Push{Repository: "team/app", Tag: "live", Digest: digest})
	pushes.ofTag(t.Context(), registryserver.Push{Repository: "team/app", Tag: "latest", Digest: digest})
	for _, names := range asked {
		slices.Sort(names)
	}
	if diff := cmp.Diff(map[platform.Trigger][]string{
		"push of main, commit 1111111":                                              {"a folder of it", "its repository", "under another name"},
		"forced push of next, commit 1111111":                                       {"another branch"},
		"push of team/app:live, digest 6c3c624b58db":                                {"as in ECR", "its image", "without a registry"},
		"push of team/app:latest, digest 6c3c624b58db":                              {"its image without a tag"},
		"Nothing is deployed, and the service goes on as it is (deletion of main).": {"another repository"},
	}, asked); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
}
