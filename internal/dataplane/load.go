package dataplane

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// loadHold is how long an order for the load waits for something to tell, so that an idle machine is asked twice a minute.
const loadHold = 30 * time.Second

// loadMessage is a report of one data plane. It has the serial that was asked for, and no services, when there was nothing to tell.
type loadMessage struct {
	// Session is unlike that of any other data plane: serials mean something within it only.
	Session string
	// IsWhole says that the report is of all services that the data plane knows.
	IsWhole bool
	Report  platform.LoadReport
}

// load waits for the first table, without which no service is known, and for the next report.
func (s *server) load(w http.ResponseWriter, r *http.Request) {
	after, _ := strconv.ParseUint(r.URL.Query().Get("after"), 10, 64) // what cannot be read is 0: all is told
	if r.URL.Query().Get("of") != s.session {
		after = 0
	}
	ctx, cancel := context.WithTimeout(r.Context(), loadHold)
	defer cancel()
	message := loadMessage{Session: s.session, Report: platform.LoadReport{Serial: after}}
	select {
	case <-s.ready:
	case <-ctx.Done():
	}
	if report, ok := s.proxy.Load(ctx, after); ok && ctx.Err() == nil {
		message.Report, message.IsWhole = report, after == 0 || report.Serial != after+1
	}
	s.answer(w, message)
}

// loads are the latest loads by data plane and service.
type loads map[string]map[platform.ServiceID]platform.Load

// take remembers what a data plane tells, and returns the services that it is about, and which of them are short.
func (l loads) take(from string, message loadMessage) (services []platform.ServiceID, isShort map[platform.ServiceID]bool) {
	if message.IsWhole || l[from] == nil {
		l[from] = map[platform.ServiceID]platform.Load{}
	}
	isShort = map[platform.ServiceID]bool{}
	for _, load := range message.Report.Services {
		services = append(services, load.ServiceID)
		l[from][load.ServiceID] = load
		if load.IsShort {
			isShort[load.ServiceID] = true
		}
	}
	return services, isShort
}

// forget drops what a data plane has told, and returns the services of which others tell.
func (l loads) forget(from string) (services []platform.ServiceID) {
	gone := l[from]
	delete(l, from)
	for _, id := range l.services() {
		if _, wasThere := gone[id]; wasThere {
			services = append(services, id)
		}
	}
	return services
}

// services lists all that are known.
func (l loads) services() []platform.ServiceID {
	all := map[platform.ServiceID]bool{}
	for _, each := range l {
		for id := range each {
			all[id] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// sum is the load of a service on all data planes; current is the one that freezes.
func (l loads) sum(id platform.ServiceID, current string) platform.Load {
	sum := platform.Load{ServiceID: id}
	for from, each := range l {
		load := each[id]
		sum.InFlight += load.InFlight
		sum.Waiting += load.Waiting
		sum.Average += load.Average
		sum.Peak += load.Peak
		sum.Requests += load.Requests
		sum.Refused += load.Refused
		sum.IsShort = sum.IsShort || load.IsShort
		if load.LastRequestAt.After(sum.LastRequestAt) {
			sum.LastRequestAt = load.LastRequestAt
		}
		if from == current {
			sum.Frozen = load.Frozen
		}
	}
	return sum
}
