package platform

import (
	"errors"
	"time"
)

var (
	// ErrNoRuntime and ErrNoPreparation say that there is none of the name, or the id.
	ErrNoRuntime     = errors.New("no such runtime")
	ErrNoPreparation = errors.New("no such preparation")
	// ErrBeingPrepared says that a runtime is being prepared in another way than was asked for.
	ErrBeingPrepared = errors.New("the runtime is being prepared")
)

// RuntimeState says whether a runtime's images are on this machine.
type RuntimeState string

const (
	RuntimeReady     RuntimeState = "READY"
	RuntimeNotMade   RuntimeState = "NOT_MADE"
	RuntimeBeingMade RuntimeState = "BEING_MADE"
	RuntimeFailed    RuntimeState = "FAILED"
)

// Runtime is a runtime of the catalogue and what this machine has of it.
type Runtime struct {
	// Name is what apprunner.yaml writes, API the enum's value or empty, Version the language's.
	Name, API, Version string
	// IsImage says that its images are pulled from registries; else they are made here.
	IsImage bool
	State   RuntimeState
	// Failure is why it could not be prepared the last time, in the state FAILED.
	Failure string
	// SizeBytes is what it takes on the disk, also what other runtimes share with it.
	SizeBytes int64
	// Digest changes when a refresh finds something new. It, MadeAt and CheckedAt are empty when the images are not there.
	Digest string
	// MadeAt is when the newest part came. CheckedAt is when it was last seen to be new: zero for what never changes.
	MadeAt, CheckedAt time.Time
	// BuildImage and RunImage are the references of images, with their digests once they were pulled.
	BuildImage, RunImage string
}

// Preparation is the making or pulling of a runtime's images that somebody has asked for by itself.
type Preparation struct {
	ID, Runtime string
	IsRefresh   bool
	// IsJoined says that it ran already when it was asked for.
	IsJoined bool
	IsOver   bool
	// IsUnchanged says of one that is over that it found nothing new.
	IsUnchanged bool
	// Failure is why it failed; nil for one that runs or went well.
	Failure *ExplainedError
	// Lines are what it has printed from a line on, and Next is the number of the line after them.
	Lines []string
	Next  int
}
