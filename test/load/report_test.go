package load

import (
	"strings"
	"testing"
	"time"
)

// at is a time on the tests' clock.
func at(second float64) time.Time {
	return time.Unix(1_000_000, 0).Add(time.Duration(second * float64(time.Second)))
}

func TestReportFindsWhatWasLostOrWrong(t *testing.T) {
	// Version 2 is deployed from 10 to 20, and the service is paused from 30 to 40.
	told := timeline{
		versions: []allowance{{version: "1", until: at(20)}, {version: "2", from: at(10)}},
		pauses:   []span{{at(30), at(40)}},
	}
	for name, c := range map[string]struct {
		records []record
		want    string
	}{
		"good before and after":          {[]record{{sent: at(1), answered: at(2), version: "1"}, {sent: at(21), answered: at(22), version: "2"}}, ""},
		"both during the deployment":     {[]record{{sent: at(11), answered: at(12), version: "1"}, {sent: at(13), answered: at(14), version: "2"}}, ""},
		"old answer begun in time":       {[]record{{sent: at(19), answered: at(60), version: "1"}}, ""},
		"old version afterwards":         {[]record{{sent: at(21), answered: at(22), version: "1"}}, "not to answer"},
		"new version beforehand":         {[]record{{sent: at(1), answered: at(2), version: "2"}}, "not to answer"},
		"unknown version":                {[]record{{sent: at(1), answered: at(2), version: "3"}}, "not to answer"},
		"error":                          {[]record{{sent: at(1), answered: at(2), trouble: "EOF"}}, "EOF"},
		"503 in a pause":                 {[]record{{sent: at(31), answered: at(32), isPaused: true}}, ""},
		"503 outside a pause":            {[]record{{sent: at(1), answered: at(2), isPaused: true}}, "outside a pause"},
		"back to the old version":        {[]record{{sent: at(11), answered: at(12), version: "2"}, {sent: at(13), answered: at(14), version: "1"}}, "had answered"},
		"overlapping, so not going back": {[]record{{sent: at(11), answered: at(14), version: "2"}, {sent: at(13), answered: at(15), version: "1"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := strings.Join(report(c.records, told, time.Second).Faults(), "; ")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("faults are %q, want %q", got, c.want)
			}
		})
	}
}
