// Package apprunner is the App Runner API as values: the shapes of its actions with their limits, its errors, and the
// descriptor of each action.
//
// A shape is defined once, as a Go type. A structure is a struct whose fields are tagged with the member's name on the
// wire (where it differs from the field's) and with "required"; a field's type is the member's shape. Scalars are named
// types, and one table (limits.go) says what each allows. Everything else follows from these definitions by one
// reflective walker, which reads a type once and remembers what it found:
//
//   - DecodeJSON is strict: an unknown or repeated member, a value of the wrong kind, invalid UTF-8 and anything after
//     the value are refused with the path of the member.
//
//   - EncodeJSON leaves absent members out, writes required lists as [] and timestamps as epoch seconds with a fraction.
//
//   - Validate finds every member that breaks a rule, not only the first.
//
//   - ToValue and FromValue go through a tree of values, from which EncodeXML, DecodeXML, EncodeQuery and DecodeQuery come:
//     the forms of the REST-XML and Query protocols, as botocore reads and writes them. FromString reads a scalar.
//
// JSON, which every request passes through, goes its own direct way; that it says the same as the tree is tested.
//
// An absent member is a nil pointer, slice or map, and so differs from one that is empty, zero or false.
//
// An Endpoint ties an action to the types of its input, its output and its errors; a server dispatches on it, and
// Endpoint.Call is a client:
//
//	output, err := apprunner.StartDeployment.Call(ctx, &client, &apprunner.StartDeploymentRequest{ServiceARN: &arn})
//	var missing *apprunner.ResourceNotFoundException
//	if errors.As(err, &missing) { … }
//
// The package knows nothing of a server. Beside the standard library it depends on the AWS SDK's signer alone.
package apprunner
