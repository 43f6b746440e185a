package operation

import (
	"context"
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/platform"
)

// noSecrets is for services without secrets.
type noSecrets struct{}

func (noSecrets) Value(context.Context, string) (string, error) { return "", nil }

func (noSecrets) Seal(context.Context, platform.RevisionID, map[string]string) ([]byte, error) {
	return nil, nil
}

func (noSecrets) Open(platform.RevisionID, []byte) (map[string]string, error) { return nil, nil }

// Value, Seal and Open keep the world's secrets in the open.
func (w *world) Value(_ context.Context, reference string) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	value, ok := w.secrets[reference]
	if !ok {
		return "", platform.Explain(nil, "there is no secret %s", reference)
	}
	return value, nil
}

func (w *world) Seal(ctx context.Context, _ platform.RevisionID, references map[string]string) ([]byte, error) {
	if len(references) == 0 {
		return nil, nil
	}
	values := map[string]string{}
	for variable, reference := range references {
		value, err := w.Value(ctx, reference)
		if err != nil {
			return nil, err
		}
		values[variable] = value
	}
	return json.Marshal(values)
}

func (w *world) Open(_ platform.RevisionID, sealed []byte) (values map[string]string, err error) {
	if len(sealed) > 0 {
		err = json.Unmarshal(sealed, &values)
	}
	return values, err
}

// environmentOf returns the variables of the instance that serves.
func (w *world) environmentOf(service platform.Service) map[string]string {
	id := w.routeOf(service).Endpoints[0].InstanceID
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.environments[id])
}

func TestSecretsAreReadOnceWhenAServiceIsDeployed(t *testing.T) {
	w := newWorld(t)
	a := w.start()
	w.set(func() { w.secrets["db"] = "one" })
	service := imageService()
	service.Configuration.Source.Image.Secrets = map[string]string{"PASSWORD": "db"}
	service.Configuration.Source.Image.Environment = map[string]string{"PASSWORD": "plain", "MODE": "test"}
	service = w.created(a, service)
	if got := w.environmentOf(service); got["PASSWORD"] != "one" || got["MODE"] != "test" {
		t.Fatalf("the instance has %v", got)
	}

	w.set(func() { w.secrets["db"] = "two" })
	first := w.routeOf(service).Endpoints[0].InstanceID
	w.set(func() {
		w.die(first, &platform.Exit{Code: 2})
	})
	w.eventually("the instance is replaced", func() bool {
		endpoints := w.routeOf(service).Endpoints
		return len(endpoints) == 1 && endpoints[0].InstanceID != first
	})
	if got := w.environmentOf(service); got["PASSWORD"] != "one" {
		t.Errorf("a replacement has another value than its revision: %v", got)
	}
	_, service = w.do(a, service, platform.OperationStartDeployment, nil)
	if got := w.environmentOf(service); got["PASSWORD"] != "two" {
		t.Errorf("after a deployment the instance has %v", got)
	}
}

// A secret that is not there is told before anything is pulled or built.
func TestAMissingSecretFailsADeploymentAtItsBegin(t *testing.T) {
	w := newWorld(t)
	a := w.start()
	service := w.created(a, imageService())
	pulls := func() (count int) {
		w.set(func() { count = w.calls["pull"] })
		return count
	}
	before := pulls()
	operation, after := w.do(a, service, platform.OperationUpdateService, func(s *platform.Service) error {
		s.Configuration.Source.Image.Identifier = "registry.test/app:next"
		s.Configuration.Source.Image.Secrets = map[string]string{"PASSWORD": "missing"}
		return nil
	})
	if operation.Failure == nil || !strings.Contains(operation.Failure.Cause, "no secret missing") {
		t.Errorf("the operation %s has the failure %+v", operation.Status, operation.Failure)
	}
	if after.Status != platform.ServiceStatusRunning || pulls() != before {
		t.Errorf("the service is %s, after %d pulls more", after.Status, pulls()-before)
	}
}
