package platform

import "time"

// LoadReport is what the data plane tells about the services whose load has changed since the report before.
type LoadReport struct {
	// Serial numbers the reports of one data plane, from 1.
	Serial uint64
	// At is when it was made.
	At       time.Time
	Services []Load
}

// Load is what one service's requests were like since the report before, or are now.
type Load struct {
	ServiceID ServiceID
	// InFlight are the requests in instances now, Waiting those in the queue.
	InFlight, Waiting int
	// Average and Peak are of InFlight plus Waiting since the report before, and no longer than a second, which is how often there is one
	// while the load changes.
	Average float64
	Peak    int
	// Requests counts those that have come since the data plane began.
	Requests uint64
	// Refused counts those that a full queue has refused since then.
	Refused uint64
	// IsShort says that a request found no room, which is why the report was not put off.
	IsShort bool
	// LastRequestAt is when the last request came or ended; zero when there was none since the data plane began.
	LastRequestAt time.Time
	// Frozen are the instances that are frozen now.
	Frozen []InstanceID
}

// Scale is the size of a service and how it came about.
type Scale struct {
	// Size is how many instances there should be, from Min to Max.
	Size, Min, Max int
	// Load is what was told of the service last.
	Load Load
	// Reason is why Size became what it is, at ChangedAt; empty where that was before apron started.
	Reason    string
	ChangedAt time.Time
}
