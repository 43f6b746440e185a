package main

import (
	"crypto/x509"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/certs"
)

func TestCAPrintsTheRootAndHowToTrustIt(t *testing.T) {
	dir := t.TempDir()
	apron(t, "ca", "--data", dir).expect(t, 1, "there is no authority yet", "--https")
	if _, err := certs.OpenAuthority(filepath.Join(dir, "tls"), "apron.localhost"); err != nil {
		t.Fatal(err)
	}
	printed := apron(t, "ca", "--data", dir)
	printed.expect(t, 0)
	if !x509.NewCertPool().AppendCertsFromPEM([]byte(printed.out)) || strings.Contains(printed.out, "PRIVATE") || !strings.HasSuffix(printed.out, "-----END CERTIFICATE-----\n") {
		t.Errorf("it prints %s", printed.out)
	}
	for _, part := range []string{"below apron.localhost alone", "update-ca-certificates", "NODE_EXTRA_CA_CERTS", "AWS_CA_BUNDLE"} {
		if !strings.Contains(printed.problems, part) {
			t.Errorf("%q is not in %s", part, printed.problems)
		}
	}
	var values map[string]any
	if err := json.Unmarshal([]byte(apron(t, "ca", "--data", dir, "--output", "json").out), &values); err != nil || values["certificate"] != printed.out {
		t.Errorf("as JSON it is %v, %v", values, err)
	}
}

func TestServeNamesCertificatesThatAreWrong(t *testing.T) {
	apron(t, "serve", "--certs", filepath.Join(t.TempDir(), "nowhere")).expect(t, 2, "nowhere", "docs/https.md")
}
