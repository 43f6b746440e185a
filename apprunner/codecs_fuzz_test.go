package apprunner

import (
	"bytes"
	"errors"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzDecodeQuery checks that a form never breaks the decoder, that an error names something, and that what is read is
// written so that it is read again as the same.
func FuzzDecodeQuery(f *testing.F) {
	for _, seed := range []string{
		"", "ServiceName=web1", "ServiceName=a&ServiceName=b", "Tags=", "Tags.member.1.Key=a&Tags.member.2.Key=b", "Tags.member.2.Key=b",
		"Tags.member.01.Key=", "Tags..=", "=", ".=.", "HealthCheckConfiguration.Interval=5", "NetworkConfiguration.IngressConfiguration=",
		EncodeQuery(imageVariables(RuntimeEnvironmentVariables{"A": "1", "B": "%\xff\n"})).Encode(),
		EncodeQuery(&CreateServiceResponse{Service: fullService()}).Encode(),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		form, err := url.ParseQuery(body)
		if err != nil {
			return
		}
		for _, target := range []any{&CreateServiceRequest{}, &CreateServiceResponse{}, &chain{}} {
			checkStable(t, target, DecodeQuery(form, target), func(v any) []byte { return []byte(EncodeQuery(v).Encode()) },
				func(encoded []byte, v any) error {
					form, err := url.ParseQuery(string(encoded))
					if err != nil {
						return err
					}
					return DecodeQuery(form, v)
				})
		}
	})
}

// FuzzDecodeXML checks the same of documents.
func FuzzDecodeXML(f *testing.F) {
	for _, seed := range []string{
		"", "<R/>", `<?xml version="1.0"?><R xmlns="` + XMLNamespace + `"><Service/></R>`, "<R><Service><ServiceName>&#13;<![CDATA[x]]></ServiceName></Service></R>",
		"<!DOCTYPE R><R/>", "<R><Next><Next><List><member/></List></Next></Next></R>", "<R><OperationId>&#xD800;</OperationId></R>",
		string(EncodeXML("R", imageVariables(RuntimeEnvironmentVariables{"A": "1", "B": "%\xff\n"}))),
		string(EncodeXML("R", &CreateServiceResponse{Service: fullService()})),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		for _, target := range []any{&CreateServiceRequest{}, &CreateServiceResponse{}, &chain{}} {
			checkStable(t, target, DecodeXML(document, target), func(v any) []byte { return EncodeXML("R", v) }, DecodeXML)
		}
	})
}

// checkStable checks the outcome err of decoding into v.
func checkStable(t *testing.T, v any, err error, encode func(any) []byte, decode func([]byte, any) error) {
	t.Helper()
	if err != nil {
		var inForm *ValueError
		var inDocument *DecodeError
		if !errors.As(err, &inForm) && !errors.As(err, &inDocument) {
			t.Fatalf("the error is of another type: %v", err)
		}
		if len(err.Error()) > 2000 {
			t.Fatalf("the error is too long: %v", err)
		}
		return
	}
	first := encode(v)
	again := newOf(v)
	if err := decode(first, again); err != nil {
		t.Fatalf("what we wrote was refused: %v in %s", err, first)
	}
	if second := encode(again); !bytes.Equal(first, second) {
		t.Fatalf("encoding is not stable:\n%s", cmp.Diff(string(first), string(second)))
	}
	if _, isChain := v.(*chain); !isChain {
		_ = Validate(v) // must not panic
	}
}
