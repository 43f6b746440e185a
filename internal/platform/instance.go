package platform

import "time"

// InstanceState is our finer internal phase; the API has no status for instances.
type InstanceState string

const (
	InstanceStateRunning InstanceState = "RUNNING"
	InstanceStateFrozen  InstanceState = "FROZEN"
	InstanceStateExited  InstanceState = "EXITED"
)

// Instance is one running copy of a Revision, as its backend sees it.
type Instance struct {
	ID         InstanceID
	ServiceID  ServiceID
	RevisionID RevisionID
	State      InstanceState
	// Address is host:port where the app should listen; empty once exited.
	Address string
	// Freezer is the file by which it is frozen and thawed (freezer.state or cgroup.freeze of its control group); empty where that
	// cannot be done.
	Freezer   string
	StartedAt time.Time
	// Exit says how it ended; nil while it runs.
	Exit *Exit
}

// Exit is how an Instance ended.
type Exit struct {
	Code int
	At   time.Time
	// IsOutOfMemory says that the kernel killed it for exceeding its memory limit.
	IsOutOfMemory bool
	// IsOverStorage says that apron killed it for exceeding its limit of writable storage.
	IsOverStorage bool
	// IsLost says that it left no trace of how it ended: the machine was started again, or what watched over it was
	// killed. Code means nothing then.
	IsLost bool
}
