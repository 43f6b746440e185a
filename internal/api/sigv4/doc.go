// Package sigv4 verifies requests signed with AWS Signature Version 4, in the Authorization header or in the query of a
// presigned URL. It knows nothing of any service: a Verifier is told which signing names and region it is for.
//
// Invariants: the method, path, query, host, every x-amz-* header and the body are part of what was signed, so that none
// of them can be changed or added on the way. A payload that is declared unsigned is refused, because endpoints are
// often reached without TLS. Signatures are compared in constant time.
//
// The algorithm is that of the IAM user guide, "Create a signed AWS API request", with the path encoded twice as for
// every service but S3.
package sigv4
