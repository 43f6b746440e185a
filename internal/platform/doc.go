// Package platform is the domain: Service, Revision, Operation, Instance, Source, Route and their state machines.
//
// It holds values and rules, does no I/O, and imports nothing but the standard library. Everything else in the
// program depends on it; it depends on nothing. One word has one meaning here:
//
//   - a Service is the customer's app;
//   - an Action is one API call;
//   - an Operation is the asynchronous record behind an OperationId, made of Steps;
//   - a Revision is an immutable pair of image digest and Configuration;
//   - an Instance is one running copy of a Revision;
//   - a Route says which Instances answer for a service's hosts.
//
// # Service
//
//	CreateService -> OPERATION_IN_PROGRESS -> RUNNING <-> OPERATION_IN_PROGRESS <-> PAUSED
//	                          |                                   |
//	                          v                                   v
//	                    CREATE_FAILED                   DELETED or DELETE_FAILED
//
// # Operation
//
//	PENDING -> IN_PROGRESS -> SUCCEEDED
//	                |-> FAILED                      (nothing to go back to)
//	                |-> ROLLBACK_IN_PROGRESS -> ROLLBACK_SUCCEEDED or ROLLBACK_FAILED
//
// A terminal status never changes.
package platform
