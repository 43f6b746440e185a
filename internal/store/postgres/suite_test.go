package postgres_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/apron-run/apron/internal/store"
	"github.com/apron-run/apron/internal/store/postgres"
	"github.com/apron-run/apron/internal/store/postgres/postgrestest"
	"github.com/apron-run/apron/internal/store/sqlstore"
	"github.com/apron-run/apron/internal/store/storetest"
)

// server is what all tests share, each with a database of its own: a copy of template, which has the schema.
var (
	server   *postgrestest.Server
	template string
)

func TestMain(m *testing.M) {
	var err error
	if server, err = postgrestest.Open(); err == nil {
		template, err = makeTemplate(context.Background())
	}
	if err != nil {
		fmt.Println(err)
		closeServer()
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent(), goleak.Cleanup(func(code int) {
		if !closeServer() {
			code = 1
		}
		os.Exit(code)
	}))
}

func closeServer() (isClean bool) {
	if server == nil {
		return true
	}
	err := server.Close()
	if err != nil {
		fmt.Println("close the server:", err)
	}
	return err == nil
}

func makeTemplate(ctx context.Context) (string, error) {
	name, err := server.Create(ctx, "")
	if err != nil {
		return "", err
	}
	db, err := postgres.Open(ctx, server.URL(name))
	if err != nil {
		return "", err
	}
	return name, db.Close()
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t testing.TB) store.Store { return open(t, newDatabase(t, server, template)) })
}

// newDatabase returns the URL of a new database.
func newDatabase(t testing.TB, server *postgrestest.Server, template string) string {
	t.Helper()
	name, err := server.Create(t.Context(), template)
	if err != nil {
		t.Fatalf("create a database: %v", err)
	}
	return server.URL(name)
}

func open(t testing.TB, url string) *sqlstore.Store {
	t.Helper()
	db, err := postgres.Open(t.Context(), url)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}
