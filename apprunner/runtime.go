package apprunner

import "time"

// Shapes of the extension actions about the runtimes that code is built for.

// RuntimeName is how apprunner.yaml names a runtime: python311.
type RuntimeName string

// LineNumber counts the lines of a preparation from 0.
type LineNumber int32

// ManagedRuntime is a runtime and what the machine has of its images.
type ManagedRuntime struct {
	Name *RuntimeName `api:",required"`
	// APIName is the value of Runtime that means it; absent for one that App Runner never had.
	APIName *Runtime `api:"ApiName"`
	// Version is the language's.
	Version *String
	// IsImage says that its images are pulled from registries; else they are made on the machine.
	IsImage *bool `api:",required"`
	// State is READY, NOT_MADE, BEING_MADE or FAILED.
	State *String `api:",required"`
	// Failure is why it could not be prepared the last time, or not be refreshed.
	Failure *String
	// SizeMB is what its images take on the disk, in MB, also what they share with those of other runtimes.
	SizeMB *Integer `api:"SizeMb,required"`
	// Digest changes when the images do. MadeAt is when they last did, CheckedAt when they were last looked for anew; what never
	// changes has none.
	Digest    *String
	MadeAt    *time.Time
	CheckedAt *time.Time
	// BuildImage and RunImage are the references of images that are pulled, with their digests once they were.
	BuildImage *String
	RunImage   *String
	// OutdatedServices are the names of services whose image was made of earlier ones. Their next deployment is made of these.
	OutdatedServices StringList `api:",required"`
}

// Preparation is the making or pulling of a runtime's images.
type Preparation struct {
	ID   *UUID        `api:"Id,required"`
	Name *RuntimeName `api:",required"`
	// IsRefresh says that it looks for something newer than what is there.
	IsRefresh *bool `api:",required"`
	// IsJoined says that it ran already when it was asked for.
	IsJoined *bool `api:",required"`
	// State is RUNNING, SUCCEEDED or FAILED; it is stopped when nobody asks for it for a minute.
	State *String `api:",required"`
	// IsUnchanged says of one that SUCCEEDED that the images are those that were there before.
	IsUnchanged *bool `api:",required"`
	// Lines are what it has printed since FromLine; NextLine is the FromLine to go on with.
	Lines    StringList  `api:",required"`
	NextLine *LineNumber `api:",required"`
	Failure  *Failure
}

type ListRuntimesRequest struct{}

type ListRuntimesResponse struct {
	Runtimes []ManagedRuntime `api:",required"`
}

type PrepareRuntimeRequest struct {
	Name *RuntimeName `api:",required"`
	// IsRefresh makes the images again if they are there already.
	IsRefresh *bool
}

type PrepareRuntimeResponse struct {
	Preparation *Preparation `api:",required"`
}

type DescribePreparationRequest struct {
	PreparationID *UUID `api:"PreparationId,required"`
	FromLine      *LineNumber
}

type DescribePreparationResponse struct {
	Preparation *Preparation `api:",required"`
}

type CancelPreparationRequest struct {
	PreparationID *UUID `api:"PreparationId,required"`
}

type CancelPreparationResponse struct {
	Preparation *Preparation `api:",required"`
}
