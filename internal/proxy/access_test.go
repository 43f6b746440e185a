package proxy_test

import (
	"slices"
	"strings"
	"sync"

	"github.com/apron-run/apron/internal/proxy"
)

// accessLog keeps all records.
type accessLog struct {
	mu      sync.Mutex // guards records
	records []proxy.AccessRecord
}

func (l *accessLog) Access(record proxy.AccessRecord) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, text := range []*string{&record.Method, &record.Host, &record.URI, &record.Protocol, &record.Problem, &record.Referrer, &record.Agent} {
		*text = strings.Clone(*text)
	}
	l.records = append(l.records, record)
}

func (l *accessLog) all() []proxy.AccessRecord {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.records)
}
