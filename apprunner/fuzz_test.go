package apprunner

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// FuzzDecode checks the decoder against the standard library's: what we take is JSON, what is no JSON is refused as
// such, and what we read we write so that it is read again as the same.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		fullServiceJSON, `{}`, `{"ServiceName":"\ud83d\ude00"}`, `{"CreatedAt":1.7e9}`, `{"CreatedAt":-0}`,
		`{"Status":null,"ServiceName":"\u0000"}`, `[[[[`, `{"ServiceName":"a","ServiceName":"b"}`, "{\"x\":\"\xff\"}",
		`{"HealthCheckConfiguration":{"Interval":2147483648}}`, `{"a`, `{"SourceConfiguration":{"ImageRepository":{"ImageConfiguration":{"RuntimeEnvironmentVariables":{"a":"b","":""}}}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var first Service
		err := DecodeJSON(body, &first)
		isJSON := json.Valid(body)
		if err != nil {
			var refused *DecodeError
			if !errors.As(err, &refused) {
				t.Fatalf("the error is no DecodeError: %v", err)
			}
			if refused.Problem == ProblemSyntax && isJSON {
				t.Fatalf("valid JSON was refused as invalid: %v", err)
			}
			if refused.Problem == ProblemInvalidUTF8 && isJSON && utf8.Valid(body) && !bytes.Contains(body, []byte(`\u`)) {
				t.Fatalf("valid UTF-8 was refused: %v", err)
			}
			return
		}
		if !isJSON || !utf8.Valid(body) {
			t.Fatalf("accepted what is not JSON in UTF-8: %q", body)
		}
		encoded := EncodeJSON(&first)
		var second Service
		if err := DecodeJSON(encoded, &second); err != nil {
			t.Fatalf("our own JSON was refused: %v in %s", err, encoded)
		}
		if diff := cmp.Diff(encoded, EncodeJSON(&second)); diff != "" {
			t.Fatalf("encoding is not stable:\n%s", diff)
		}
		_ = Validate(&first) // must not panic
	})
}
