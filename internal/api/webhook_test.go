package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/apron-run/apron/apprunner"
	"github.com/apron-run/apron/internal/platform"
)

func TestAWebhookIsMadeOnDemandAndItsSecretIsKeptSealed(t *testing.T) {
	w := newWorld(t)
	arn := w.running("webapp")
	get := func(action string) (webhook struct{ URL, Secret, URLWithSecret string }) {
		t.Helper()
		var answer struct {
			Webhook struct{ URL, Secret, URLWithSecret string }
		}
		if err := json.Unmarshal([]byte(w.extension(action, arnOf(arn), http.StatusOK)), &answer); err != nil {
			t.Fatal(err)
		}
		return answer.Webhook
	}
	first := get("DescribeWebhook")
	want := "https://deploy.test/webhooks/" + path.Base(arn)
	if first.URL != want || first.URLWithSecret != want+"/"+first.Secret || !strings.HasPrefix(first.Secret, "whsec_") {
		t.Errorf("the webhook is %+v", first)
	}
	if again := get("DescribeWebhook"); again != first {
		t.Errorf("asked again it is %+v", again)
	}
	second := get("RotateWebhook")
	if second.Secret == first.Secret || second.URL != first.URL {
		t.Errorf("rotated it is %+v", second)
	}
	if again := get("DescribeWebhook"); again != second {
		t.Errorf("after the rotation it is %+v", again)
	}
	for _, file := range []string{w.path, w.path + "-wal"} {
		if content, err := os.ReadFile(file); err == nil && strings.Contains(string(content), second.Secret) {
			t.Errorf("%s holds the secret", file)
		}
	}
	if described := fmt.Sprint(w.call("DescribeService", arnOf(arn))); strings.Contains(described, "whsec_") || strings.Contains(described, "Webhook") {
		t.Errorf("the service is described with it: %s", described)
	}
	secret := apprunner.WebhookSecret(second.Secret)
	if printed := fmt.Sprintf("%v %+v %#v", secret, struct{ S *apprunner.WebhookSecret }{&secret}, secret); strings.Contains(printed, "whsec_") {
		t.Errorf("it prints as %s", printed)
	}

	w.extension("DescribeWebhook", arnOf(arn+"0"), http.StatusBadRequest)
	w.call("DeleteService", arnOf(arn))
	w.settle(arn, platform.ServiceStatusDeleted)
	for _, action := range []string{"DescribeWebhook", "RotateWebhook"} {
		if answer := w.extension(action, arnOf(arn), http.StatusBadRequest); !strings.Contains(answer, "ResourceNotFound") {
			t.Errorf("%s of a deleted service: %s", action, answer)
		}
	}
}
