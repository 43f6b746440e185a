package proxy_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/apron-run/apron/internal/proxy"
	"github.com/apron-run/apron/internal/proxy/accesslog"
)

// accessLog keeps all records.
type accessLog struct {
	mu      sync.Mutex // guards records
	records []accesslog.Record
}

func (l *accessLog) Access(record accesslog.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, text := range []*string{&record.Method, &record.Host, &record.URI, &record.Protocol, &record.Problem, &record.Referrer, &record.Agent} {
		*text = strings.Clone(*text)
	}
	l.records = append(l.records, record)
}

func (l *accessLog) all() []accesslog.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.records)
}

func TestTheBytesOfARecordAreThoseOfTheBodyOnBothRoads(t *testing.T) {
	app := backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.Write([]byte("ten bytes."))
	})
	for name, options := range map[string]proxy.Config{"fast": {}, "standard": proxy.StandardOnly(proxy.Config{})} {
		log := &accessLog{}
		options.AccessLog = log
		p := start(t, options)
		p.serve(route(app))
		for i, request := range []struct{ method, host string }{{"GET", "app.test"}, {"HEAD", "app.test"}, {"GET", "unknown.test"}} {
			answer := p.raw(t, request.method+" / HTTP/1.1\r\nHost: "+request.host+"\r\nConnection: close\r\n\r\n")
			_, body, _ := strings.Cut(answer[strings.LastIndex(answer, "HTTP/1.1"):], "\r\n\r\n")
			eventually(t, "the record", func() bool { return len(log.all()) > i })
			if got := log.all()[i].ResponseBytes; got != int64(len(body)) {
				t.Errorf("the %s road: %s of %s: %d bytes recorded, %d came", name, request.method, request.host, got, len(body))
			}
		}
	}
}

// It was recorded with the host of the request before it, and with no service.
func TestABadBodyIsRecordedWithItsOwnHost(t *testing.T) {
	log := &accessLog{}
	p := start(t, proxy.Config{AccessLog: log})
	other := route(backend(t, says("other")))
	other.ServiceID, other.Hosts = "other-id", []string{"other.test"}
	p.serve(route(backend(t, says("app"))), other)
	p.raw(t, "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n"+"POST /bad HTTP/1.1\r\nHost: other.test\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
	eventually(t, "both", func() bool { return len(log.all()) == 2 })
	if bad := log.all()[1]; bad.Host != "other.test" || bad.ServiceID != "other-id" {
		t.Errorf("recorded of %s %s: host %q, service %q, status %d", bad.Method, bad.URI, bad.Host, bad.ServiceID, bad.Status)
	}
}
