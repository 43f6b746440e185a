package registry_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

const (
	ecrHost   = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
	ecrKeyID  = "AKIAIOSFODNN7EXAMPLE"
	ecrSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

// fakeECR gives tokens that last so long to requests that are signed with the key.
type fakeECR struct {
	t     *testing.T
	lasts time.Duration
	asked int
}

func (f *fakeECR) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.asked++
	body, _ := io.ReadAll(r.Body)
	sum := sha256.Sum256(body)
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	again := httptest.NewRequest(r.Method, "http://"+r.Host+r.URL.Path, strings.NewReader(string(body)))
	again.Header = http.Header{"Content-Type": r.Header["Content-Type"], "X-Amz-Target": r.Header["X-Amz-Target"]}
	again.ContentLength = r.ContentLength
	credentials := aws.Credentials{AccessKeyID: ecrKeyID, SecretAccessKey: ecrSecret}
	if signErr := v4.NewSigner().SignHTTP(r.Context(), credentials, again, hex.EncodeToString(sum[:]), "ecr", "eu-west-1", at); signErr != nil || err != nil {
		f.t.Error(signErr, err)
	}
	if r.Header.Get("Authorization") != again.Header.Get("Authorization") ||
		r.Header.Get("X-Amz-Target") != "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken" {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"__type":"com.amazonaws#UnrecognizedClientException","message":"The security token included in the request is invalid."}`)
		return
	}
	token := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "AWS:t0ken-%d", f.asked))
	fmt.Fprintf(w, `{"authorizationData":[{"authorizationToken":%q,"expiresAt":%d.5,"proxyEndpoint":"https://%s"}]}`, token, time.Now().Add(f.lasts).Unix(), ecrHost)
}

func TestAnAccessKeyIsTradedForATokenOfAmazonsRegistry(t *testing.T) {
	ecr := &fakeECR{t: t, lasts: 12 * time.Hour}
	server := httptest.NewServer(ecr)
	t.Cleanup(server.Close)
	t.Setenv("AWS_ENDPOINT_URL_ECR", server.URL)
	r, data := newRegistry(t, quick)
	auth := func(user, password string) {
		writeFile(t, data, "registries.json", fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, ecrHost, base64.StdEncoding.EncodeToString([]byte(user+":"+password))))
	}
	want := func(wantUser, wantPassword string) {
		t.Helper()
		if user, password, err := r.Credentials(deadline(t), ecrHost); err != nil || user != wantUser || password != wantPassword {
			t.Errorf("credentials: %s %s, %v; want %s %s", user, password, err, wantUser, wantPassword)
		}
	}
	auth(ecrKeyID, ecrSecret)
	want("AWS", "t0ken-1")
	want("AWS", "t0ken-1") // kept

	auth(ecrKeyID, "wr0ng")
	_, _, err := r.Credentials(deadline(t), ecrHost)
	wantCause(t, err, "gives no token for "+ecrHost, "UnrecognizedClientException", "ecr:GetAuthorizationToken")
	if strings.Contains(fmt.Sprint(err, evidence(err)), "wr0ng") {
		t.Errorf("the error shows the secret: %v", err)
	}
	ecr.lasts = time.Minute
	r, data = newRegistry(t, quick)
	auth(ecrKeyID, ecrSecret)
	want("AWS", "t0ken-3")
	want("AWS", "t0ken-4") // that ends soon

	auth("AWS", "a token of the user's own")
	want("AWS", "a token of the user's own")
}
