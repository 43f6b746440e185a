package api_test

import (
	"net/http"
	"os"
	"strings"
	"testing"
)

func TestASecretIsStoredListedAndDeleted(t *testing.T) {
	w := newWorld(t)
	const value = "hunter2-and-more"
	got := w.extension("PutSecret", `{"Name":"db/password","Value":"`+value+`"}`, http.StatusOK)
	got += w.extension("PutSecret", `{"Name":"/db/password","Value":"`+value+`"}`, http.StatusOK)
	listed := w.extension("ListSecrets", `{}`, http.StatusOK)
	if strings.Count(listed, `"Name":"db/password"`) != 1 {
		t.Errorf("listed: %s", listed)
	}
	if strings.Contains(got+listed, value) {
		t.Error("an answer holds the value")
	}
	for _, file := range []string{w.path, w.path + "-wal"} {
		if content, err := os.ReadFile(file); err == nil && strings.Contains(string(content), value) {
			t.Errorf("%s holds the value", file)
		}
	}
	w.extension("DeleteSecret", `{"Name":"db/password"}`, http.StatusOK)
	w.extension("DeleteSecret", `{"Name":"db/password"}`, http.StatusBadRequest)
	if listed := w.extension("ListSecrets", `{}`, http.StatusOK); !strings.Contains(listed, `"Secrets":[]`) {
		t.Errorf("after the deletion: %s", listed)
	}
}

func TestWrongSecretsAreRefused(t *testing.T) {
	w := newWorld(t)
	for _, body := range []string{
		`{"Name":"db"}`, `{"Value":"x"}`, `{"Name":"a b","Value":"x"}`, `{"Name":"///","Value":"x"}`, `{"Name":"db","Value":""}`,
		`{"Name":"db","Value":"` + strings.Repeat("é", 40000) + `"}`,
	} {
		w.extension("PutSecret", body, http.StatusBadRequest)
	}
	for reference, want := range map[string]string{
		`arn:aws:s3:::bucket`: "the value of PASSWORD must be a name, or an ARN",
		`has spaces`:          "the value of PASSWORD must have 1 to 512",
		`arn:aws:secretsmanager:us-east-1:1:secret:db::AWSPREVIOUS:`: "only the current one",
	} {
		got := w.send("AppRunner.CreateService", `{"ServiceName":"with-secret","SourceConfiguration":{"ImageRepository":{"ImageIdentifier":"registry.test/app:1",`+
			`"ImageRepositoryType":"ECR_PUBLIC","ImageConfiguration":{"RuntimeEnvironmentSecrets":{"PASSWORD":"`+reference+`"}}}}}`, nil)
		if got.status != http.StatusBadRequest || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d %s, want %q", reference, got.status, got.body, want)
		}
	}
}
