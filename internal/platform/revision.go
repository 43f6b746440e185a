package platform

import "time"

// Revision is an immutable pair of image digest and Configuration, with what a build added to it. It is all that is
// needed to start an Instance.
type Revision struct {
	ID        RevisionID
	ServiceID ServiceID
	// Number counts a Service's revisions from 1.
	Number    int
	CreatedAt time.Time

	// Image is the reference under which the backend's image store holds it, and its digest there.
	Image       string
	ImageDigest string
	// Commit is the Git commit it was built from, or empty for an image source.
	Commit string `json:",omitempty"`
	// Runtime is the managed runtime that it was built for, and BuildKey names all that the build depended on besides the
	// commit (build.Builder.Key). Both are empty where the same commit is built anew each time.
	Runtime  string `json:",omitempty"`
	BuildKey string `json:",omitempty"`

	// Runtimes are those whose images it was made of, with the version of each (Runtime.Digest).
	Runtimes map[string]string `json:",omitempty"`

	// Process is how the app is started.
	Process Process
	// Configuration is the Service's at the time of the deployment.
	Configuration Configuration
}

// Process is how the app is started in an Instance.
type Process struct {
	// Command is the start command as the user wrote it, run by `/bin/sh -c` where it needs a shell; empty means the
	// image's own entry point and command.
	Command string `json:",omitempty"`
	// Port is what the app listens on, given to it as PORT.
	Port int
	// PortVariable is a second variable that carries the port (apprunner.yaml's network.env), or empty.
	PortVariable string `json:",omitempty"`
	// Environment holds the plain variables. PORT is not among them unless the user set it by hand.
	Environment map[string]string
	// Secrets maps a variable's name to the reference of its value.
	Secrets map[string]string
	// SealedSecrets are the values as they were when the Revision was made, for its Instances alone to read.
	SealedSecrets []byte `json:",omitempty"`
}
