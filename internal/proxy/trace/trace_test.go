package trace

import (
	"encoding/hex"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

const (
	aParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	aRoot   = "Root=1-5759e988-bd862e3fe1be46a994272793"
)

func TestATraceIsPassedOnOrBegun(t *testing.T) {
	const (
		parentOfA = "0af7651916cd43dd8448eb211c80319c"
		rootOfA   = "5759e988bd862e3fe1be46a994272793"
	)
	tests := map[string]struct {
		parent, amzn []string
		// wantParent and wantAmzn are patterns; ID stands for the trace id as each header has it.
		wantID, wantParent, wantAmzn string
		keepsState                   bool
	}{
		"none":                 {nil, nil, "[0-9a-f]{32}", "00-ID-[0-9a-f]{16}-01", "Root=1-ID", false},
		"W3C's":                {[]string{aParent}, nil, parentOfA, aParent, "Root=1-ID", true},
		"Amazon's":             {nil, []string{aRoot + ";Parent=53995c3f42cd8ad8;Sampled=1"}, rootOfA, "00-ID-[0-9a-f]{16}-01", aRoot + ";Parent=53995c3f42cd8ad8;Sampled=1", false},
		"Amazon's, unsampled":  {nil, []string{"Self=1-5759e988-000000000000000000000001; " + aRoot + ";Sampled=0"}, rootOfA, "00-ID-[0-9a-f]{16}-00", "Self=1-5759e988-000000000000000000000001; " + aRoot + ";Sampled=0", false},
		"both":                 {[]string{aParent}, []string{aRoot}, parentOfA, aParent, aRoot, true},
		"of a version to come": {[]string{"cc-" + aParent[3:] + "-what-comes"}, nil, parentOfA, "cc-" + aParent[3:] + "-what-comes", "Root=1-ID", true},
		"two of W3C's":         {[]string{aParent, aParent}, nil, "[0-9a-f]{32}", "00-ID-[0-9a-f]{16}-01", "Root=1-ID", false},
		"no root":              {nil, []string{"Self=1-5759e988-bd862e3fe1be46a994272793"}, "[0-9a-f]{32}", "00-ID-[0-9a-f]{16}-01", "Root=1-ID", false},
		"a root of zeros":      {nil, []string{"Root=1-00000000-000000000000000000000000"}, "[0-9a-f]{32}", "00-ID-[0-9a-f]{16}-01", "Root=1-ID", false},
	}
	for _, wrong := range []string{
		"", "00", aParent[:54], aParent + "-", aParent + "0", "ff" + aParent[2:], strings.ToUpper(aParent), strings.Replace(aParent, "-", "_", 1),
		"00-00000000000000000000000000000000-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
		"00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0x",
		"cc" + aParent[2:] + "x",
	} {
		tests["wrong: "+wrong] = struct {
			parent, amzn                 []string
			wantID, wantParent, wantAmzn string
			keepsState                   bool
		}{[]string{wrong}, nil, "[0-9a-f]{32}", "00-ID-[0-9a-f]{16}-01", "Root=1-ID", false}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			header := http.Header{"Tracestate": {"vendor=1"}}
			if test.parent != nil {
				header["Traceparent"] = test.parent
			}
			if test.amzn != nil {
				header["X-Amzn-Trace-Id"] = test.amzn
			}
			lines, id, keepsState := AppendHeaders(nil, onlyValue(test.parent), onlyValue(test.amzn))
			set := Set(header)
			check := func(id ID, parent, amzn string) {
				t.Helper()
				digits := hex.EncodeToString(id[:])
				fit := func(pattern, text string) {
					t.Helper()
					pattern = strings.ReplaceAll(pattern, "Root=1-ID", "Root=1-"+digits[:8]+"-"+digits[8:])
					pattern = strings.ReplaceAll(pattern, "-ID-", "-"+digits+"-")
					if !regexp.MustCompile("^" + pattern + "$").MatchString(text) {
						t.Errorf("got %q, want %s", text, pattern)
					}
				}
				fit(test.wantID, digits)
				fit(test.wantParent, parent)
				fit(test.wantAmzn, amzn)
			}
			check(set, strings.Join(header["Traceparent"], "|"), strings.Join(header["X-Amzn-Trace-Id"], "|"))
			parent, amzn, _ := strings.Cut(string(lines), "\r\n")
			check(id, strings.TrimPrefix(parent, "Traceparent: "), strings.TrimSuffix(strings.TrimPrefix(amzn, "X-Amzn-Trace-Id: "), "\r\n"))
			if (header["Tracestate"] != nil) != test.keepsState || keepsState != test.keepsState {
				t.Errorf("tracestate is kept: %v, %v", header["Tracestate"] != nil, keepsState)
			}
		})
	}
}

func BenchmarkTrace(b *testing.B) {
	buffer := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		buffer, _, _ = AppendHeaders(buffer[:0], nil, nil)
	}
}
