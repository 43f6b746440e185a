// Package examples deploys each app of examples/ twice, as a user does: from its folder, and again with one line changed. It
// asks for the answer each time and tells how long both took.
//
// APRON_EXAMPLES=all deploys them on every runtime that their READMEs name, and looks whether each runtime has the tools that
// the catalogue promises.
package examples
