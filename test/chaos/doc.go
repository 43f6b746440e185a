// Package chaos kills parts of apron at random, under traffic and a random sequence of actions, and looks after each round
// whether everything is as it must be. `make chaos` runs 200 rounds; `make test` a few.
//
// # A round
//
// Each of four services (of images and of Git repositories, with one instance or two) gets requests all the time. A round
// calls actions on up to three of them and kills up to three of: `apron serve` (which is started again), `apron proxy`,
// containerd, buildkitd, the shim of an instance, an instance. All of that is drawn from the seed and the round's number alone,
// so that the same seed gives the same rounds; what a draw comes to depends on the services' statuses too (one that is
// paused is resumed). Then the round waits until every operation has ended and every service has what it should have.
//
// # What must hold
//
//   - An operation's status moves along the edges of platform.OperationStatus, and a terminal one never changes. It is
//     looked at all the time, across restarts. A service that ran is never CREATE_FAILED, a deleted one stays deleted.
//   - A service has one operation at a time, and the times of their steps do not overlap.
//   - An operation whose id was answered is there, and ends. It succeeds if nobody cancelled it, it was not meant to fail,
//     and no instance of its service was killed. One that failed says why.
//   - A service that runs has exactly MinSize instances, of the active revision, within settleTimeout; one that does not has none.
//     It answers with the version that was deployed last.
//   - What belongs to no instance, revision or operation (containers, snapshots, processes, control groups, network namespaces,
//     addresses, folders, images, checkouts) is gone within orphanTimeout: apron sweeps once a minute.
//   - No request is lost.
//
// # Which request counts as lost
//
// Every request has an answer of status 200 with the right body, but for these, which are counted apart:
//
//   - In flight on a killed instance. The package waits for the death of each instance's process whose shim or which
//     itself it has killed. A request to that service that had been sent by then, and had not ended before, may break.
//     The shim's death is not enough: until the process ends too, requests must be answered.
//   - Refused while no instance was left: a 503 with Retry-After, when a service has lost at least MinSize instances to
//     kills, until the first good answer to a request that was sent after the last death. It was not sent to any
//     instance, and its client can send it again.
//   - Without a proxy: broken between the death of the data plane and the first answer of the next one. What that one refuses
//     is lost, as it has its routes before it accepts a connection.
//   - Refused while paused: the same answer, from the call of PauseService to the end of the ResumeService after it.
//
// Everything else is lost: also each answer that breaks for the death of apron, containerd, buildkitd or a shim
// alone.
package chaos
