package dataplane

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

const (
	routesPath    = "/v1/routes"
	drainPath     = "/v1/drain"
	tunnelsPath   = "/v1/tunnels"
	healthPath    = "/v1/health"
	listenersPath = "/v1/listeners"
	leavePath     = "/v1/leave"
	loadPath      = "/v1/load"

	// healthHold is how long an order for the health waits while the table is the one that it names.
	healthHold = 30 * time.Second

	// maxMessageBytes bounds a message: some 100,000 routes.
	maxMessageBytes = 64 << 20
)

// routesMessage is a whole table.
type routesMessage struct {
	// ID names the table; it comes back in health.
	ID     string
	Routes []platform.Route
}

// changeMessage is what makes a table of another one. It is refused when that one is not in force.
type changeMessage struct {
	// Base and ID name the table before and that after it.
	Base, ID string
	Changed  []platform.Route
	Removed  []platform.ServiceID
}

// drainMessage asks for instances that no route names any more.
type drainMessage struct {
	Instances []platform.InstanceID
	// TimeoutMilliseconds bounds the wait.
	TimeoutMilliseconds int64
}

// tunnelsMessage names instances whose upgraded connections are to end.
type tunnelsMessage struct{ Instances []platform.InstanceID }

// drainAnswer says how many requests were in flight when the wait ended.
type drainAnswer struct{ Left int }

// listenersMessage has the listening sockets beside it, in the order of their names.
type listenersMessage struct{ Names []string }

// health says who answers.
type health struct {
	// PID is the process's. A data plane that does not tell it cannot hand its listeners over either.
	PID int
	// Program is the file that the process runs, Arguments what it was started with: both tell whether it is the one
	// that is wanted.
	Program   string
	Arguments []string
	// Table is the ID of the table in force, empty before the first.
	Table string
	// Goroutines is how many there are: some for each connection.
	Goroutines int
}

// thisProgram names the file that this process runs. A rebuilt program is another file, whatever its version says.
func thisProgram() (string, error) {
	info, err := os.Stat("/proc/self/exe")
	if err != nil {
		return "", err
	}
	stat := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%d:%d", stat.Dev, stat.Ino), nil
}
