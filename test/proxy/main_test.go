// Package proxy tests the data plane as its users meet it: by bytes on connections, and by clients and servers that are not
// part of apron. What is judged is what arrives at an app and what arrives at the client, so that it holds for every road
// that a request may take through the proxy.
//
// An app is a server of the test on loopback. What the proxy does inside is tested beside it, and what it does together with
// real instances in test/e2e.
package proxy

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
