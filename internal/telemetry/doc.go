// Package telemetry keeps what services, deployments and instances have to say: App Runner's event log, the log of each
// operation, and the output of each instance.
//
// All of it is plain files under DATA/logs, readable with any tool:
//
//	SERVICE_ID/events.log                     what happened to the service, in App Runner's phrases
//	SERVICE_ID/deployments/OPERATION_ID.log   the output of one operation
//	SERVICE_ID/instances/INSTANCE_ID.log      stdout and stderr, written by apron-log, not by this package
//
// The access log of all services lies elsewhere and is written by the data plane, as lines of JSON; it is read here by service.
//
// Each other line is `TIME STREAM TEXT`: RFC 3339 time with nanoseconds in UTC; stdout, stderr, events or deployment; the text.
// A file that is full is renamed to NAME.log.1, the one before to NAME.log.2, and so on; readers follow across that.
//
// Every file is bounded and so is their number. The package does not know services or operations beyond their ids, and
// checks ids before they become part of a path.
package telemetry
