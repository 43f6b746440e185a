package sigv4

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

const (
	testKeyID  = "AKIDEXAMPLE"
	testSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	testBody   = `{"MaxResults":5}`
)

var testNow = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func testVerifier() *Verifier {
	return &Verifier{
		Secret: func(id string) (string, bool) { return testSecret, id == testKeyID },
		Region: "us-east-1", SigningNames: []string{"apprunner"}, Now: func() time.Time { return testNow },
	}
}

// signing is how a test signs, with AWS's own signer.
type signing struct {
	keyID, secret, region, name string
	at                          time.Time
	payload                     string // the payload hash; default that of the body
	token                       string
}

func defaultSigning() signing {
	return signing{keyID: testKeyID, secret: testSecret, region: "us-east-1", name: "apprunner", at: testNow}
}

func (s signing) credentials() aws.Credentials {
	return aws.Credentials{AccessKeyID: s.keyID, SecretAccessKey: s.secret, SessionToken: s.token}
}

func hashOf(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}

// newRequest is a request as a client would send it.
func newRequest(t testing.TB, target string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, target, strings.NewReader(testBody))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", "AppRunner.ListServices")
	return r
}

// sign signs r in its header.
func (s signing) sign(t testing.TB, r *http.Request) *http.Request {
	t.Helper()
	payload := s.payload
	if payload == "" {
		payload = hashOf(testBody)
	}
	if err := v4.NewSigner().SignHTTP(r.Context(), s.credentials(), r, payload, s.name, s.region, s.at); err != nil {
		t.Fatal(err)
	}
	return r
}

// presign returns r with its signature in the query.
func (s signing) presign(t testing.TB, r *http.Request, expires string) *http.Request {
	t.Helper()
	query := r.URL.Query()
	query.Set("X-Amz-Expires", expires)
	r.URL.RawQuery = query.Encode()
	url, headers, err := v4.NewSigner().PresignHTTP(r.Context(), s.credentials(), r, hashOf(testBody), s.name, s.region, s.at)
	if err != nil {
		t.Fatal(err)
	}
	signed := newRequest(t, url)
	signed.Header = http.Header{}
	for name, values := range headers {
		if http.CanonicalHeaderKey(name) != "Host" {
			signed.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	return signed
}

// receive is the request as a server gets it.
func receive(t testing.TB, r *http.Request) (*http.Request, []byte) {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	received := httptest.NewRequest(r.Method, r.URL.RequestURI(), bytes.NewReader(body))
	received.Host = r.URL.Host
	received.Header = r.Header.Clone()
	received.ContentLength = r.ContentLength
	return received, body
}

func TestRequestsSignedByTheSDKAreAccepted(t *testing.T) {
	cases := map[string]func() *http.Request{
		"in the header": func() *http.Request { return defaultSigning().sign(t, newRequest(t, "http://127.0.0.1:8700/")) },
		"with the hash of the body": func() *http.Request {
			r := newRequest(t, "http://127.0.0.1:8700/")
			r.Header.Set("X-Amz-Content-Sha256", hashOf(testBody))
			return defaultSigning().sign(t, r)
		},
		"with a session token": func() *http.Request {
			s := defaultSigning()
			s.token = "a token left over in the environment"
			return s.sign(t, newRequest(t, "http://127.0.0.1:8700/"))
		},
		"with a query and a path to encode": func() *http.Request {
			return defaultSigning().sign(t, newRequest(t, "http://127.0.0.1:8700/a%20b/c+d?b=2&a=x%20y&a=%2B&empty=&z"))
		},
		"with spaces in a header": func() *http.Request {
			r := newRequest(t, "http://127.0.0.1:8700/")
			r.Header.Add("X-Amz-Meta", "  a   b ")
			r.Header.Add("X-Amz-Meta", "c")
			return defaultSigning().sign(t, r)
		},
		"4 minutes ago": func() *http.Request {
			s := defaultSigning()
			s.at = testNow.Add(-4 * time.Minute)
			return s.sign(t, newRequest(t, "http://127.0.0.1:8700/"))
		},
		"4 minutes ahead": func() *http.Request {
			s := defaultSigning()
			s.at = testNow.Add(4 * time.Minute)
			return s.sign(t, newRequest(t, "http://127.0.0.1:8700/"))
		},
		"in the query": func() *http.Request {
			return defaultSigning().presign(t, newRequest(t, "http://127.0.0.1:8700/"), "60")
		},
		"in the query, an hour ago": func() *http.Request {
			s := defaultSigning()
			s.at = testNow.Add(-time.Hour)
			return s.presign(t, newRequest(t, "http://127.0.0.1:8700/?q=a%2Fb"), "3601")
		},
	}
	for name, make := range cases {
		t.Run(name, func(t *testing.T) {
			r, body := receive(t, make())
			got, err := testVerifier().Verify(r, body)
			if want := (Identity{testKeyID, "apprunner"}); err != nil || got != want {
				t.Errorf("got %v, %v, want %v", got, err, want)
			}
		})
	}
}

func TestRequestsThatWereNotSignedAsTheyAreAreRefused(t *testing.T) {
	header := func(change func(*signing), edit func(*http.Request)) func() *http.Request {
		return func() *http.Request {
			s := defaultSigning()
			if change != nil {
				change(&s)
			}
			r := s.sign(t, newRequest(t, "http://127.0.0.1:8700/"))
			if edit != nil {
				edit(r)
			}
			return r
		}
	}
	authorization := func(old, new string) func() *http.Request {
		return header(nil, func(r *http.Request) {
			before := r.Header.Get("Authorization")
			after := strings.Replace(before, old, new, 1)
			if before == after {
				t.Fatalf("%s is not in %s", old, before)
			}
			r.Header.Set("Authorization", after)
		})
	}
	query := func(expires string, change func(*signing), edit func(*http.Request)) func() *http.Request {
		return func() *http.Request {
			s := defaultSigning()
			if change != nil {
				change(&s)
			}
			r := s.presign(t, newRequest(t, "http://127.0.0.1:8700/"), expires)
			if edit != nil {
				edit(r)
			}
			return r
		}
	}
	replaceQuery := func(old, new string) func(*http.Request) {
		return func(r *http.Request) {
			before := r.URL.RawQuery
			if r.URL.RawQuery = strings.Replace(before, old, new, 1); r.URL.RawQuery == before {
				t.Fatalf("%s is not in %s", old, before)
			}
		}
	}
	cases := []struct {
		name string
		make func() *http.Request
		want Problem
		text string
	}{
		{"unsigned", func() *http.Request { return newRequest(t, "http://127.0.0.1:8700/") }, ProblemMissing, "Missing"},
		{"basic authentication", header(nil, func(r *http.Request) { r.SetBasicAuth(testKeyID, testSecret) }), ProblemIncomplete, "AWS4-HMAC-SHA256"},
		{"another secret", header(func(s *signing) { s.secret = "x" }, nil), ProblemInvalid, "does not match"},
		{"another key", header(func(s *signing) { s.keyID = "AKIDOTHER" }, nil), ProblemUnknownKey, "access key id"},
		{"another region", header(func(s *signing) { s.region = "eu-west-1" }, nil), ProblemInvalid, "valid region"},
		{"another service", header(func(s *signing) { s.name = "s3" }, nil), ProblemInvalid, "correct service"},
		{"6 minutes ago", header(func(s *signing) { s.at = testNow.Add(-6 * time.Minute) }, nil), ProblemInvalid, "Signature expired"},
		{"6 minutes ahead", header(func(s *signing) { s.at = testNow.Add(6 * time.Minute) }, nil), ProblemInvalid, "not yet current"},
		{"another body", header(nil, func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`{"MaxResults":6}`)) }), ProblemInvalid, "does not match"},
		{"another body than was hashed", func() *http.Request {
			r := newRequest(t, "http://127.0.0.1:8700/")
			r.Header.Set("X-Amz-Content-Sha256", hashOf(testBody))
			r = defaultSigning().sign(t, r)
			r.Body = io.NopCloser(strings.NewReader(`{"MaxResults":6}`))
			return r
		}, ProblemInvalid, "changed after signing"},
		{"an unsigned payload", func() *http.Request {
			r := newRequest(t, "http://127.0.0.1:8700/")
			r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
			s := defaultSigning()
			s.payload = "UNSIGNED-PAYLOAD"
			return s.sign(t, r)
		}, ProblemInvalid, "sign the body"},
		{"another action", header(nil, func(r *http.Request) { r.Header.Set("X-Amz-Target", "AppRunner.DeleteService") }), ProblemInvalid, "does not match"},
		{"another content type", header(nil, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }), ProblemInvalid, "does not match"},
		{"another host", header(nil, func(r *http.Request) { r.URL.Host = "127.0.0.2:8700" }), ProblemInvalid, "does not match"},
		{"another method", header(nil, func(r *http.Request) { r.Method = http.MethodPut }), ProblemInvalid, "does not match"},
		{"another path", header(nil, func(r *http.Request) { r.URL.Path = "/x" }), ProblemInvalid, "does not match"},
		{"a query added", header(nil, func(r *http.Request) { r.URL.RawQuery = "a=b" }), ProblemInvalid, "does not match"},
		{"another date", header(nil, func(r *http.Request) { r.Header.Set("X-Amz-Date", testNow.Add(time.Second).Format(timeFormat)) }), ProblemInvalid, "does not match"},
		{"no date", header(nil, func(r *http.Request) { r.Header.Del("X-Amz-Date") }), ProblemIncomplete, "X-Amz-Date"},
		{"two dates", header(nil, func(r *http.Request) { r.Header.Add("X-Amz-Date", r.Header.Get("X-Amz-Date")) }), ProblemIncomplete, "X-Amz-Date"},
		{"a date of another form", header(nil, func(r *http.Request) { r.Header.Set("X-Amz-Date", testNow.Format(time.RFC3339)) }), ProblemIncomplete, "X-Amz-Date"},
		{"a header added", header(nil, func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", "t") }), ProblemIncomplete, "was not signed"},
		{"a signed header removed", header(nil, func(r *http.Request) { r.Header.Del("Content-Type") }), ProblemIncomplete, "not in the request"},
		{"two Authorization headers", header(nil, func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }), ProblemIncomplete, "more than one"},
		{"a scope of another day", authorization("/20260304/", "/20260303/"), ProblemInvalid, "Date in Credential scope"},
		{"a scope that is cut", authorization("/aws4_request", ""), ProblemIncomplete, "Credential must have the form"},
		{"no signature", authorization(", Signature=", ", S="), ProblemIncomplete, "'Signature'"},
		{"no signed headers", authorization("SignedHeaders=", "Signed="), ProblemIncomplete, "'SignedHeaders'"},
		{"a signature in capitals", authorization("Signature=", "Signature=A"), ProblemIncomplete, "64 hex digits"},
		{"a field twice", authorization("SignedHeaders=", "Credential=x, SignedHeaders="), ProblemIncomplete, "twice"},
		{"the host unsigned", authorization(";host;", ";"), ProblemIncomplete, "'Host'"},
		{"the date unsigned", authorization("x-amz-date;", ""), ProblemIncomplete, "'X-Amz-Date'"},
		{"headers out of order", authorization("content-length;content-type;", "content-type;content-length;"), ProblemIncomplete, "in order"},
		{"a header twice", authorization("content-type;", "content-type;content-type;"), ProblemIncomplete, "different names"},

		{"a presigned URL that expired", query("60", func(s *signing) { s.at = testNow.Add(-61 * time.Second) }, nil), ProblemInvalid, "Signature expired"},
		{"a presigned URL of tomorrow", query("60", func(s *signing) { s.at = testNow.Add(24 * time.Hour) }, nil), ProblemInvalid, "not yet current"},
		{"a presigned URL for 8 days", query("691200", nil, nil), ProblemIncomplete, "X-Amz-Expires"},
		{"a presigned URL for no time", query("0", nil, nil), ProblemIncomplete, "X-Amz-Expires"},
		{"a presigned URL made to live longer", query("60", nil, replaceQuery("X-Amz-Expires=60", "X-Amz-Expires=600")), ProblemInvalid, "does not match"},
		{"a presigned URL for another action", query("60", nil, replaceQuery("ListServices", "DeleteService")), ProblemInvalid, "does not match"},
		{"a presigned URL with another body", query("60", nil, func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`{}`)) }), ProblemInvalid, "does not match"},
		{"a presigned URL with a target added", query("60", nil, func(r *http.Request) { r.Header.Set("X-Amz-Target", "AppRunner.DeleteService") }), ProblemIncomplete, "was not signed"},
		{"a presigned URL with a parameter twice", query("60", nil, func(r *http.Request) { r.URL.RawQuery += "&X-Amz-Date=20260304T050607Z" }), ProblemIncomplete, "once"},
		{"a presigned URL without its signature", query("60", nil, replaceQuery("X-Amz-Signature=", "X-Amz-S=")), ProblemIncomplete, "X-Amz-Signature"},
		{"a presigned URL of another algorithm", query("60", nil, replaceQuery("AWS4-HMAC-SHA256", "AWS4-HMAC-MD5")), ProblemIncomplete, "X-Amz-Algorithm"},
		{"a presigned URL with a header too", query("60", nil, func(r *http.Request) { r.Header.Set("Authorization", "x") }), ProblemIncomplete, "both"},
		{"a query that cannot be read", query("60", nil, func(r *http.Request) { r.URL.RawQuery += "&a=%zz" }), ProblemIncomplete, "cannot be read"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r, body := receive(t, c.make())
			_, err := testVerifier().Verify(r, body)
			var got *Error
			if !errors.As(err, &got) {
				t.Fatalf("got %v, want a refusal", err)
			}
			if got.Problem != c.want || !strings.Contains(got.Text, c.text) {
				t.Errorf("got problem %d: %s; want problem %d with %q", got.Problem, got.Text, c.want, c.text)
			}
			if strings.Contains(got.Text, testSecret) {
				t.Error("the refusal holds the secret")
			}
		})
	}
}

// FuzzVerify looks for a request that is accepted without having been signed, and for panics.
func FuzzVerify(f *testing.F) {
	signed := defaultSigning().sign(f, newRequest(f, "http://127.0.0.1:8700/"))
	good := signed.Header.Get("Authorization")
	presigned := defaultSigning().presign(f, newRequest(f, "http://127.0.0.1:8700/"), "60")
	f.Add(good, "20260304T050607Z", "", "{}")
	f.Add("", "", presigned.URL.RawQuery, "{}")
	f.Add("AWS4-HMAC-SHA256 Credential=////aws4_request,SignedHeaders=;,Signature=", "", "%zz&=&a", "")
	f.Add("AWS4-HMAC-SHA256 ,,,", "2026", "X-Amz-Signature=&X-Amz-Algorithm=", "")
	f.Fuzz(func(t *testing.T, authorization, date, query, body string) {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.URL.RawQuery = query
		r.Header.Set("X-Amz-Target", "AppRunner.DeleteService")
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		if date != "" {
			r.Header.Set("X-Amz-Date", date)
		}
		if _, err := testVerifier().Verify(r, []byte(body)); err == nil {
			t.Fatalf("accepted Authorization %q, date %q, query %q, body %q", authorization, date, query, body)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	r, body := receive(b, defaultSigning().sign(b, newRequest(b, "http://127.0.0.1:8700/")))
	verifier := testVerifier()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := verifier.Verify(r, body); err != nil {
			b.Fatal(err)
		}
	}
}
