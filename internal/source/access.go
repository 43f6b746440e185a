package source

import "log/slog"

// Access is how a Git host is asked with the credentials of a connection. It never prints them.
type Access struct {
	// Connection is the connection's name, for sentences.
	Connection string
	// Host is the only host that gets the credentials: HOST or HOST:PORT, as IsAtHost reads it.
	Host string
	// User and Password are for http and https; SSHKey, a private key, is for ssh. One of the two ways is there.
	User, Password string
	SSHKey         string
}

func (a Access) String() string { return a.Connection + "@" + a.Host + ":***" }

// GoString keeps the credentials out of %#v too.
func (a Access) GoString() string { return a.String() }

// LogValue keeps the credentials out of logs.
func (a Access) LogValue() slog.Value { return slog.StringValue(a.String()) }
