package progress

import "testing"

func TestLinesAreBrokenBetweenWords(t *testing.T) {
	for _, test := range []struct {
		text  string
		width int
		want  string
	}{
		{"one two three", 0, "one two three"},
		{"one two three", 7, "one two\n  three"},
		{"  one two", 6, "  one\n  two"},
		{"averyveryverylongword and more", 10, "averyveryverylongword\n  and more"},
		{"ä ö ü", 3, "ä ö\n  ü"},
		{"", 10, ""},
	} {
		if got := Wrap(test.text, test.width, "  "); got != test.want {
			t.Errorf("%q in %d columns: got %q, want %q", test.text, test.width, got, test.want)
		}
	}
}
