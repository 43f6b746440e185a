package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/api"
	"github.com/apron-run/apron/internal/platform"
)

// cupboard has runtimes and remembers what was asked of it.
type cupboard struct {
	runtimes    []platform.Runtime
	preparation platform.Preparation
	refusal     error
	asked       []string
}

func (c *cupboard) ListRuntimes() ([]platform.Runtime, error) { return c.runtimes, nil }

func (c *cupboard) PrepareRuntime(name string, isRefresh bool) (platform.Preparation, error) {
	if isRefresh {
		name += " again"
	}
	c.asked = append(c.asked, "prepare "+name)
	return c.preparation, c.refusal
}

func (c *cupboard) Preparation(id string, from int) (platform.Preparation, error) {
	if id != c.preparation.ID {
		return platform.Preparation{}, platform.ErrNoPreparation
	}
	seen := c.preparation
	seen.Lines = seen.Lines[min(from, len(seen.Lines)):]
	return seen, nil
}

func (c *cupboard) CancelPreparation(id string) error {
	c.asked = append(c.asked, "cancel "+id)
	return nil
}

const preparationID = "0123456789abcdef0123456789abcdef"

func newCupboard() *cupboard {
	at := time.Unix(1700000000, 0).UTC()
	return &cupboard{
		runtimes: []platform.Runtime{
			{Name: "php81", API: "PHP_81", IsImage: true, State: platform.RuntimeNotMade, BuildImage: "docker.io/library/php:8", RunImage: "docker.io/library/php:8"},
			{Name: "python311", API: "PYTHON_311", Version: "3.11", State: platform.RuntimeReady, SizeBytes: 150 << 20, Digest: "sha256:new", MadeAt: at, CheckedAt: at},
		},
		preparation: platform.Preparation{ID: preparationID, Runtime: "python311", Lines: []string{"making base", "made base"}, Next: 2},
	}
}

func TestRuntimesAreListedWithTheServicesThatRunOnOlderOnes(t *testing.T) {
	has := newCupboard()
	w := newWorld(t, func(config *api.Config) { config.ManagedRuntimes = has })
	for name, used := range map[string]string{"old-one": "sha256:old", "new-one": "sha256:new", "unknown": ""} {
		arn := w.call("CreateService", `{"ServiceName":"`+name+`","SourceConfiguration":{"CodeRepository":{"RepositoryUrl":"https://example.org/a.git",`+
			`"SourceCodeVersion":{"Type":"BRANCH","Value":"main"},"CodeConfiguration":{"ConfigurationSource":"REPOSITORY"}}}}`)["Service"].(map[string]any)["ServiceArn"].(string)
		w.deployed(arn, map[string]string{"python311": used})
	}
	const want = `{"Runtimes":[{"Name":"php81","ApiName":"PHP_81","IsImage":true,"State":"NOT_MADE","SizeMb":0,` +
		`"BuildImage":"docker.io/library/php:8","RunImage":"docker.io/library/php:8","OutdatedServices":[]},` +
		`{"Name":"python311","ApiName":"PYTHON_311","Version":"3.11","IsImage":false,"State":"READY","SizeMb":150,"Digest":"sha256:new",` +
		`"MadeAt":1700000000.000,"CheckedAt":1700000000.000,"OutdatedServices":["old-one"]}]}`
	if got := w.extension("ListRuntimes", `{}`, http.StatusOK); got != want {
		t.Errorf("it answers\n%s\nwant\n%s", got, want)
	}
}

// deployed ends the service's first operation with a revision that was made of the images of runtimes.
func (w *world) deployed(arn string, runtimes map[string]string) {
	w.t.Helper()
	now := time.Now().UTC()
	claimed, err := w.store.ClaimOperation(w.t.Context(), "test", now, now.Add(time.Minute))
	if err != nil {
		w.t.Fatal(err)
	}
	revision, err := w.store.CreateRevision(w.t.Context(), platform.Revision{
		ID: platform.RevisionIDFor(claimed.ID), ServiceID: claimed.ServiceID, CreatedAt: now, Runtimes: runtimes,
	}, claimed)
	if err != nil {
		w.t.Fatal(err)
	}
	claimed.Status = platform.OperationStatusInProgress
	if err := w.store.SaveOperation(w.t.Context(), claimed, nil); err != nil {
		w.t.Fatal(err)
	}
	claimed.Status, claimed.EndedAt = platform.OperationStatusSucceeded, &now
	err = w.store.SaveOperation(w.t.Context(), claimed, func(service *platform.Service) {
		if service.ARN != arn {
			w.t.Errorf("the operation is of %s, want %s", service.ARN, arn)
		}
		service.Status, service.ActiveRevisionID = platform.ServiceStatusRunning, revision.ID
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestARuntimeIsPreparedAskedAboutAndCancelled(t *testing.T) {
	has := newCupboard()
	w := newWorld(t, func(config *api.Config) { config.ManagedRuntimes = has })
	answer := func(state, lines, more string) string {
		return `{"Preparation":{"Id":"` + preparationID + `","Name":"python311","IsRefresh":false,"IsJoined":false,"State":"` + state +
			`","IsUnchanged":false,"Lines":[` + lines + `],"NextLine":2` + more + `}}`
	}
	const id = `{"PreparationId":"` + preparationID + `"`
	const both = `"making base","made base"`
	for _, each := range []struct{ action, body, want string }{
		{"PrepareRuntime", `{"Name":"python311"}`, answer("RUNNING", both, "")},
		{"PrepareRuntime", `{"Name":"python311","IsRefresh":true}`, answer("RUNNING", both, "")},
		{"DescribePreparation", id + `,"FromLine":1}`, answer("RUNNING", `"made base"`, "")},
		{"CancelPreparation", id + `}`, answer("RUNNING", both, "")},
	} {
		if got := w.extension(each.action, each.body, http.StatusOK); got != each.want {
			t.Errorf("%s answers\n%s\nwant\n%s", each.action, got, each.want)
		}
	}
	has.preparation.IsOver, has.preparation.Failure = true, platform.Explain(nil, "no network").Try("find one").WithEvidence("E: 404")
	want := answer("FAILED", "", `,"Failure":{"Step":"prepare","Cause":"no network","Remedy":"find one","Evidence":["E: 404"]}`)
	if got := w.extension("DescribePreparation", id+`,"FromLine":2}`, http.StatusOK); strings.Replace(got, `"Observed":[],`, "", 1) != want {
		t.Errorf("one that has failed is\n%s\nwant\n%s", got, want)
	}
	if asked := strings.Join(has.asked, "; "); asked != "prepare python311; prepare python311 again; cancel "+preparationID {
		t.Errorf("what was asked for is %s", asked)
	}
	w.refused("Apron.DescribePreparation", `{"PreparationId":"f123456789abcdef0123456789abcdef"}`, "ResourceNotFoundException", 400)
	w.refused("Apron.PrepareRuntime", `{"Name":"Python-3"}`, "InvalidRequestException", 400)
	has.refusal = platform.ErrBeingPrepared
	w.refused("Apron.PrepareRuntime", `{"Name":"python311","IsRefresh":true}`, "InvalidStateException", 400)
	has.refusal = platform.ErrNoRuntime
	w.refused("Apron.PrepareRuntime", `{"Name":"none"}`, "ResourceNotFoundException", 400)
}
