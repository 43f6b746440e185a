package dataplane

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// planesEvery is how often WatchLoad looks which data planes there are.
const planesEvery = time.Second

// askLoad asks the data plane at a socket for the report after the one that was told last.
func (c *Client) askLoad(ctx context.Context, socket string, last loadMessage) (next loadMessage, err error) {
	ctx, cancel := context.WithTimeout(ctx, loadHold+orderTimeout)
	defer cancel()
	asked := url.Values{"after": {strconv.FormatUint(last.Report.Serial, 10)}, "of": {last.Session}}
	err = order(ctx, c.http, socket, http.MethodGet, loadPath+"?"+asked.Encode(), nil, &next)
	return next, err
}

// Load returns what is known of all services now, on the data planes that are leaving too.
func (c *Client) Load(ctx context.Context) (platform.LoadReport, error) {
	ctx, cancel := context.WithTimeout(ctx, orderTimeout)
	defer cancel()
	known := loads{}
	for _, socket := range setAside(c.socket) {
		if told, err := c.askLoad(ctx, socket, loadMessage{}); err == nil {
			known.take(socket, told)
		}
	}
	told, err := c.askLoad(ctx, c.socket, loadMessage{})
	if err != nil {
		return platform.LoadReport{}, err
	}
	known.take(c.socket, told)
	report := platform.LoadReport{Serial: 1, At: told.Report.At}
	for _, id := range known.services() {
		report.Services = append(report.Services, known.sum(id, c.socket))
	}
	return report, nil
}

// WatchLoad calls report with the load as it changes, until ctx ends, and returns why it ended. The first report is of all services, as is
// the first of a data plane that was started anew; the serials are WatchLoad's own.
//
// While a data plane is leaving, each Load is the sum of what it and the next one have: their requests are in the same instances.
// When it has left, Requests and Refused are less by what it had counted, as they are after a new start. Frozen is as the data plane
// says that stays. Of a data plane that died, nothing is told before the next one tells.
func (c *Client) WatchLoad(ctx context.Context, report func(platform.LoadReport)) error {
	ctx, cancel := context.WithCancel(ctx)
	w := &loadWatch{client: c, report: report, told: make(chan news), following: map[uint64]*follower{}, known: loads{}}
	defer w.followers.Wait()
	defer cancel()
	ticker := time.NewTicker(planesEvery)
	defer ticker.Stop()
	for {
		w.find(ctx)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		case each := <-w.told:
			w.take(each)
		}
	}
}

// loadWatch is one WatchLoad. Its members are its goroutine's; each data plane has a follower, by the inode of its socket: that stays
// when the data plane is set aside.
type loadWatch struct {
	client    *Client
	report    func(platform.LoadReport)
	serial    uint64
	current   string // who stays
	known     loads
	told      chan news
	following map[uint64]*follower
	followers sync.WaitGroup
}

// find begins to follow the data planes that are new, and ends with those that are gone.
func (w *loadWatch) find(ctx context.Context) {
	sockets := map[uint64]string{}
	for _, path := range append(setAside(w.client.socket), w.client.socket) {
		if info, err := os.Stat(path); err == nil {
			sockets[info.Sys().(*syscall.Stat_t).Ino] = path
		}
	}
	for inode, path := range sockets {
		if path == w.client.socket {
			w.current = nameOf(inode)
		}
		if each := w.following[inode]; each != nil {
			each.path.Store(&path)
			continue
		}
		following, stop := context.WithCancel(ctx)
		each := &follower{client: w.client, name: nameOf(inode), stop: stop, told: w.told}
		each.path.Store(&path)
		w.following[inode] = each
		w.followers.Go(func() { each.run(following) })
	}
	for inode, each := range w.following {
		if _, isThere := sockets[inode]; !isThere {
			each.stop()
			delete(w.following, inode)
			if services := w.known.forget(each.name); len(services) > 0 {
				w.tell(time.Now(), services, nil)
			}
		}
	}
}

// take passes on what a data plane tells, unless it is gone.
func (w *loadWatch) take(each news) {
	for _, one := range w.following {
		if one.name == each.from {
			services, isShort := w.known.take(each.from, each.message)
			if len(services) > 0 || each.message.IsWhole { // also that there is none: who listens has a data plane
				w.tell(each.message.Report.At, services, isShort)
			}
		}
	}
}

// tell reports the services' loads.
func (w *loadWatch) tell(at time.Time, services []platform.ServiceID, isShort map[platform.ServiceID]bool) {
	w.serial++
	next := platform.LoadReport{Serial: w.serial, At: at}
	for _, id := range services {
		load := w.known.sum(id, w.current)
		load.IsShort = isShort[id] // and not what another one said a while ago
		next.Services = append(next.Services, load)
	}
	w.report(next)
}

func nameOf(inode uint64) string { return strconv.FormatUint(inode, 10) }

// news is what a data plane tells.
type news struct {
	from    string
	message loadMessage
}

// follower asks one data plane for its load, again and again.
type follower struct {
	client *Client
	name   string
	path   atomic.Pointer[string]
	stop   context.CancelFunc
	told   chan<- news
}

func (f *follower) run(ctx context.Context) {
	defer f.stop()
	var last loadMessage
	for ctx.Err() == nil {
		next, err := f.client.askLoad(ctx, *f.path.Load(), last)
		if err != nil || last.Session != "" && next.Session != last.Session {
			// It is gone, or was set aside in this moment and another is in its place. If the socket stays, all is told anew.
			last = loadMessage{}
			sleep(ctx, planesEvery)
			continue
		}
		hasNews := next.IsWhole || next.Report.Serial != last.Report.Serial
		last = loadMessage{Session: next.Session, Report: platform.LoadReport{Serial: next.Report.Serial}}
		if !hasNews {
			continue
		}
		select {
		case f.told <- news{f.name, next}:
		case <-ctx.Done():
		}
	}
}
