// Package deploy replaces one Revision by the next without losing a request, and keeps the instances of the Revision
// that serves running.
//
// It has four parts. Plan is pure: what should run, what runs, and the time go in; what to do comes out. Executor
// holds the steps that an operation is made of; each is idempotent, so that a step interrupted by a crash is simply
// run again. Scaler knows how many instances each service should have, from what the data plane tells of its load.
// Supervisor compares what should run with what runs whenever something happens, and mends.
//
// Who may touch what: an operation owns the instances of the Revision it is bringing up until the route has switched.
// From then on the Supervisor owns them. While a service has an operation in progress the Supervisor replaces
// instances of the active Revision that died, and follows its size, but removes nothing else.
//
// The route of a service has one owner too: Routes. Everybody who changes which instances answer goes through it.
package deploy
