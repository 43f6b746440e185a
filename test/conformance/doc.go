// Package conformance runs one script through four clients of App Runner that know nothing of apron: the AWS CLI, boto3,
// the AWS SDK for JavaScript and the AWS SDK for Go. Each has an apron of its own, so that each begins with clean state.
//
// The script is data (steps_*.go): what to call, and what must come back. What the clients saw is what
// docs/compatibility.md says, which is written by `make compatibility` and which the tests compare.
//
// Beside the script there are the requests that no client would send (raw_test.go), and the calls that Terraform's
// provider makes for each of its resources (terraform_test.go).
package conformance
