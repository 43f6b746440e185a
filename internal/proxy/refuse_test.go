package proxy

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

func TestEachRefusalSaysWhatIsTheMatterAndWhatToDo(t *testing.T) {
	in := func(state platform.RouteState) *route {
		return &route{Route: platform.Route{ServiceName: "shop", State: state}}
	}
	serving, limits := in(platform.RouteStateServing), timeouts{total: 2 * time.Minute, idle: 90 * time.Second}
	for _, test := range []struct {
		refusal *refusal
		status  int
		retry   string
		does    string
	}{
		{refuseRoute("a.test", in(platform.RouteStatePaused), false), 503, "60", "`apron resume shop`"},
		{refuseRoute("a.test", in(platform.RouteStateStarting), false), 503, "5", "`apron service shop`"},
		{refuseRoute("a.test", serving, true), 503, "1", "`apron logs shop`"},
		{refuseRoute("a.test", serving, false), 503, "1", "`apron logs shop`"},
		{refuseAsleep(serving), 503, "5", "`apron logs shop`"},
		{refuseBusy(serving), 503, "1", "a higher MaxSize or MaxConcurrency"},
		{refuseFull(serving), 429, "1", "a higher MaxSize or MaxConcurrency"},
		{refuseBroken(serving), 502, "", "`apron logs shop --access`"},
		{refuseHTTP2(serving), 502, "", "Give it the tag apron:protocol=h2c."},
		{refuseLate(serving, limits, false), 504, "", "within 2m. It has to be faster, or to have more time by the tag apron:request-timeout."},
		{refuseLate(serving, limits, true), 504, "", "for 1m30s. It has to be faster, or to have more time by the tag apron:idle-timeout."},
		{refuseSlowBody(limits, false), 408, "", "within 2m. Send it faster"},
		{refuseSlowBody(limits, true), 408, "", "apron:idle-timeout"},
	} {
		w := &written{header: http.Header{}}
		if err := test.refusal.write(w, &http.Request{ProtoMajor: 1}, false); err != nil {
			t.Fatal(err)
		}
		message := test.refusal.message
		if w.status != test.status || w.header.Get("Retry-After") != test.retry || !strings.Contains(message, test.does) || strings.Contains(message, "%!") {
			t.Errorf("%d, Retry-After %q: %s\n\twant %d, %q, %q", w.status, w.header.Get("Retry-After"), message, test.status, test.retry, test.does)
		}
		if mayRepeat := test.status != 502 && test.status != 504 || test.refusal.message == refuseHTTP2(serving).message; strings.Contains(message, mayHaveActed) == mayRepeat {
			t.Errorf("%d says falsely whether the request may have had an effect: %s", test.status, message)
		}
	}
}

func TestTimesArePlain(t *testing.T) {
	for d, want := range map[time.Duration]string{
		90 * time.Second: "1m30s", 2 * time.Minute: "2m", 2 * time.Hour: "2h", 150 * time.Minute: "2h30m", time.Second: "1s", 300 * time.Millisecond: "300ms", 20 * time.Second: "20s",
		time.Hour + 10*time.Second: "1h0m10s", 10 * time.Minute: "10m",
	} {
		if got := plainly(d); got != want {
			t.Errorf("%v is said as %q, want %q", d, got, want)
		}
	}
}
