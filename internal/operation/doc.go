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
//     was; after it, the operation succeeds, and what cannot be tidied up at once is left to the Supervisor.
//   - Every operation ends. Each step has a deadline, the way to the switch has one in all, and so has a rollback. Somebody who
//     asks for its end has it: before the switch the running step is given up and the operation rolled back; after it,
//     only the wait for old requests is.
//   - What has to be built waits for its turn before it begins: it is PENDING, holds up nothing else, and no deadline of it
//     has begun.
//   - A deployment that something else than a client asks for is not refused but waits, as a mark on its service, until the
//     service allows it. There is one mark: a deployment takes the newest there is, whoever asked for it.
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
