// Package build turns a checked-out repository into an image and says how to start it.
//
//	apprunner.yaml or CodeConfigurationValues          Dockerfile (tag apron:build=dockerfile)
//	or, by detect, what the files are (apron:build=auto)           |
//	            |  planFromFile, planFromValues: pure              |
//	            v                                                  |
//	     Plan: phases as data                                      |
//	            |  recipe.Cache: the runtime's two images          |
//	            v                                                  v
//	     LLB, one vertex a phase  ------------------------->  BuildKit  ->  image in containerd's store, unpacked
//
// PreviewBuild goes the first half of the left road, without a daemon.
//
// Builder owns the buildkitd daemon: Ensure adopts or starts it, Run watches over it, Stop ends it. buildkitd works on
// the backend's own containerd, so a built image is there to run without an export.
//
// # Phases
//
// pre-build and build run one after the other in the build image; the run image, what the build put into /app and
// /usr/local, and pre-run on top of that make the app's image; post-build runs on top of build and its effects reach
// nobody. All commands of a phase run in one shell, which stops at the first that fails. /app holds the whole repository
// and a phase starts in /app/SOURCE_DIRECTORY.
//
// # Invariants
//
//   - The user's text is data: commands reach the shell as arguments, variables as variables. Nothing is expanded here.
//   - No secret of the machine (a registry's password, a proxy's) is part of an image, a cache key or a log.
//   - Cancelling the context stops the build and its processes.
//   - Nothing outside the repository is read, also not through a symbolic link.
package build
