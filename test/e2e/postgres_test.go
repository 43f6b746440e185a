package e2e

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/apprunner"

	"github.com/apron-run/apron/internal/store/postgres/postgrestest"
	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/sample"
)

// An apron whose database is a PostgreSQL server: a service is created, deployed and there after a restart, also when the
// server was away in between. The database's password is told nowhere.
func TestStoryOnPostgreSQL(t *testing.T) {
	t.Parallel()
	server, settings := onPostgres(t)
	a := apron.Start(t, "--config="+settings)
	push(t, a, "kept:live", sample.Variant{Version: "one"})
	service := a.MustCreate(t, fromImage("kept", "kept:live", nil))
	a.WantBody(t, service.URL, "/", "one")
	push(t, a, "kept:live", sample.Variant{Version: "two"})
	service.MustDeploy(t)
	a.WantBody(t, service.URL, "/", "two")
	process := a.Get(t, service.URL, "/id").Body
	a.Kill9(t)
	a.Restart(t)
	a.WantBody(t, service.URL, "/id", process)

	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	a.WantBody(t, service.URL, "/id", process) // the traffic does not need the database
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	push(t, a, "kept:live", sample.Variant{Version: "three"})
	var operation string
	apron.Until(t, 30*time.Second, "a deployment begins after the server came back", func() (bool, error) {
		output, err := a.SDK().StartDeployment(t.Context(), &apprunner.StartDeploymentInput{ServiceArn: &service.ARN})
		if err == nil {
			operation = *output.OperationId
		}
		return err == nil, err
	})
	service.WantOperation(t, operation, "SUCCEEDED")
	a.WantBody(t, service.URL, "/", "three")
	wantNotTold(t, a, postgrestest.Password)
}

// wantNotTold fails the test when the text is in a log of apron or in the arguments of a process.
func wantNotTold(t *testing.T, a *apron.Apron, text string) {
	t.Helper()
	if bytes.Contains([]byte(a.LogTail(100000)), []byte(text)) {
		t.Error("apron's log tells it")
	}
	var paths []string
	for _, pattern := range []string{filepath.Join(a.Data, "run", "*.log"), filepath.Join(a.Data, "*.log"), "/proc/[0-9]*/cmdline"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	for _, path := range paths {
		if content, err := os.ReadFile(path); err == nil && bytes.Contains(content, []byte(text)) { // processes come and go
			t.Errorf("%s tells it", path)
		}
	}
}

// Two aprons that are pointed at one database would both run its services, each on its own machine. The second is refused, until
// it is told to take over; then the first ends.
func TestADatabaseIsOneApronsUntilAnotherTakesIt(t *testing.T) {
	t.Parallel()
	_, settings := onPostgres(t)
	first := apron.Start(t, "--config="+settings)
	push(t, first, "kept:live", sample.Variant{Version: "one"})
	service := first.MustCreate(t, fromImage("kept", "kept:live", nil))

	refused, err := apron.Open("--config=" + settings)
	if err == nil {
		t.Fatal(errors.Join(errors.New("a second apron has the database too"), refused.Close()))
	}
	take := regexp.MustCompile(`--take-database=\w+`).FindString(err.Error())
	if !strings.Contains(err.Error(), "The database belongs to the apron") || take == "" {
		t.Fatalf("the refusal does not say what to do: %v", err)
	}
	first.WantBody(t, service.URL, "/", "one")

	second := apron.Start(t, "--config="+settings, take)
	list, err := second.SDK().ListServices(t.Context(), &apprunner.ListServicesInput{})
	if err != nil || len(list.ServiceSummaryList) != 1 || *list.ServiceSummaryList[0].ServiceName != "kept" {
		t.Errorf("the second lists %+v, %v", list, err)
	}
	apron.Until(t, 30*time.Second, "the first ends", func() (bool, error) {
		return strings.Contains(first.LogTail(100), "apron failed"), nil
	})
	first.WantBody(t, service.URL, "/", "one") // its instances go on, until it is taken down
}

// onPostgres starts a server with an empty database until the test ends, and returns the settings of an apron on it. The
// password is in that file, where nobody else reads it.
func onPostgres(t *testing.T) (server *postgrestest.Server, settings string) {
	t.Helper()
	server, err := postgrestest.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	database, err := server.Create(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	settings = filepath.Join(t.TempDir(), "apron.yaml")
	if err := os.WriteFile(settings, []byte("database: "+server.URL(database)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return server, settings
}
