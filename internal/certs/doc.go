// Package certs has certificates and carries out custom domains: it gives a new one its validation records, looks for them in DNS, lets the
// domain answer, and takes away one that is no longer wanted. It owns a domain's status and records; the API makes and
// reads domains, deploy routes them.
//
//	creating -> pending_certificate_dns_validation -> binding_certificate -> active
//	    |                     |
//	    v                     v
//	    create_failed  (reserved, or its records were not seen in time)
//
//	any of them -> deleting -> gone     by DisassociateCustomDomain, or with its service
//
// # What holds
//
//   - Decide alone says what becomes of a domain; it is pure. The Keeper finds the evidence and writes the outcome, in
//     one transaction with the status that the decision was made from.
//   - All that is known is in the store. A Keeper that is killed goes on from there.
//   - A domain is active, or gone, only after the data plane says that its names answer, or do not.
//   - DNS is asked with a deadline, a few domains at a time, and more seldom the longer a domain waits.
//
// # Certificates
//
// A Source has the certificates of TLS handshakes: Files from a folder, which may be for any name, and an Authority of this
// machine for the names below its domain. They run in the data plane, which goes on without the rest.
package certs
