package apprunner

import "time"

type DescribeScalingRequest struct {
	ServiceARN *AppRunnerResourceARN `api:"ServiceArn,required"`
}

type DescribeScalingResponse struct {
	Scaling *Scaling `api:",required"`
}

// Scaling is how many instances a service has, and why.
type Scaling struct {
	// Size is how many instances there are to be now; 0 for a service that sleeps, or does not serve. MinSize and MaxSize are what it
	// lies between, by the auto scaling configuration of the revision that serves and the service's tags.
	Size    *Integer `api:",required"`
	MinSize *Integer `api:",required"`
	MaxSize *Integer `api:",required"`
	// InFlight are the requests in instances, Waiting those that wait for room, and Frozen the instances that are frozen.
	InFlight *Integer `api:",required"`
	Waiting  *Integer `api:",required"`
	Frozen   *Integer `api:",required"`
	// Reason is why the size became what it is, and ChangedAt when; absent as long as apron has not changed it.
	Reason    *String
	ChangedAt *time.Time
}
