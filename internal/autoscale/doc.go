// Package autoscale decides how many instances a service should have. It is pure: it knows no clock, starts nothing, and asks
// nobody.
//
// A Scaler is what is remembered of one service, some hundred bytes. Whoever owns it gives it what the data plane tells
// (Observe), asks it for a size (Decide), sees to it that there are so many instances, and asks again when the data plane tells
// something new, or at Decision.Next, whichever comes first. So scale-out is decided in the moment in which a request finds no
// room, and a service at rest costs nothing.
//
// The rules, which docs/scaling.md has for users and docs/decisions/autoscaling.md with the reasons:
//
//   - never fewer than MinSize, never more than MaxSize; with a MinSize of 0 the last instance stays until there was no request for
//     ToZeroAfter;
//   - more instances at once when a request finds no room and others will not soon make some, and as many as the demand needs; those
//     that start already count, and one that takes long to start is started while there is a little room;
//   - fewer after a quiet window, one step after another, and never fewer than any moment of the window needed.
package autoscale
