// Package operation runs durable operations: it accepts them, claims them with a lease, runs their steps, resumes them
// after a crash, and rolls them back when a step fails before the route has switched.
//
// # What holds at any time
//
//   - A service has at most one operation that is not terminal; the store refuses a second.
//   - An operation is run by whoever holds its lease. Each claim raises the lease's term, and a writer with an older
//     term can write nothing, so that a worker that was paused for long does no harm when it wakes. A lease is over when
//     others have watched that nobody renews it; the time of day plays no part, because clocks differ and jump.
//   - Every step is idempotent and asks by itself whether its work is done. After a crash the steps are therefore simply
//     run again from the first; those whose effect is there return at once.
//   - The switch is the point of no return. It is one transaction: the operation is marked as switched and the service
//     gets its new active revision. Before it, any failure takes the new instances away and leaves the service as it
//     was; after it, the operation succeeds, and what cannot be tidied up at once is left to the Supervisor. A failure is a
//     point of no return too: it is recorded before anything is taken away.
//   - Every operation ends. Each step has a deadline, the way to the switch has one in all, and so has a rollback. Somebody who
//     asks for its end has it: before the switch the running step is given up and the operation rolled back; after it,
//     only the wait for old requests is.
//   - What has to be built waits for its turn before it begins: it is PENDING, holds up nothing else, and no deadline of it
//     has begun.
//   - A deployment that something else than a client asks for is not refused but waits, as a mark on its service, until the
//     service allows it. There is one mark: a deployment takes the newest there is, whoever asked for it.
//
// # Whoever sleeps and wakes
//
// A lease is trusted until a third of it before its end, by a timer that no answer of the store is waited for. But a process can
// be stopped at any instant, with its machine even without its clock, and go on in the middle of a step when others have
// long ended its operation and begun the next. What it does then, until its timer or the store tells it:
//
//   - It writes nothing: operations, services and new revisions are written under the newest term only, and a switch that
//     was kept is not taken back, also by one who was not told that it was.
//   - It stops nothing that was started since. What is to be stopped is listed first and then confirmed under the lease (unwanted),
//     so all of it is from before whoever came next. Ids are never used again, but by the same operation for the same
//     thing, which after a recorded failure starts nothing any more. An instance that somebody else could not stop, and
//     that a resume then took in, may end early; the Supervisor replaces it.
//   - It may start an instance, or bring an image or a checkout, of an operation that has ended. The Supervisor retires
//     instances of revisions that do not serve, and sweeps the others.
//   - Routes are its own process's. There the runs of a service come one after the other (enter), also when a process
//     claims from itself what it still runs. A claim after the switch makes the route again, since only who made the switch
//     knew whether that was done.
//   - Reading, probing, draining and lines in logs do no harm.
//
// The tests named "model" explore all this, each order of two aprons' steps with sleeps, crashes and lost answers in between.
//
// # Roads
//
//	create, deploy   resolve -> fetch -> build | pull -> start -> health check -> switch -> drain -> stop
//	update           as deploy; where the source stays the same: reuse -> start -> health check -> switch -> …
//	rollback         an update: reuse (of the revision gone back to) -> start -> health check -> switch -> …
//	pause            switch off -> drain -> stop
//	resume           start -> health check -> switch
//	delete           switch off -> drain -> stop -> remove
package operation
