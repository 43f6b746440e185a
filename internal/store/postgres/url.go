package postgres

import (
	"errors"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// connectTimeout bounds connecting to one address of the server.
const connectTimeout = 5 * time.Second

// parameters are set in each session, unless the URL sets them.
var parameters = map[string]string{
	"application_name": "apron",
	// A statement takes milliseconds. Opening has a time of its own, for its migrations.
	"statement_timeout": "15s",
	"lock_timeout":      "10s",
	// A process that hangs, or vanished with its machine, would keep the lock for as long as the kernel takes to tell. Those who
	// wait for it get it in their time.
	"idle_in_transaction_session_timeout": "5s",
	// What a client was told is done is kept, whatever the server's default is.
	"synchronous_commit": "on",
}

// errURL tells nothing of the URL, which may hold a password.
var errURL = errors.New("want a URL such as postgres://USER@HOST:5432/DATABASE, with special characters in it escaped")

// CheckURL says what is wrong with the form of a database's URL. It tells nothing of the URL itself.
func CheckURL(text string) error {
	_, err := parse(text)
	return err
}

func parse(text string) (*pgx.ConnConfig, error) {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Scheme != "postgres" && parsed.Scheme != "postgresql" {
		return nil, errURL
	}
	config, err := pgx.ParseConfig(text)
	if err != nil {
		return nil, errURL
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	for name, value := range parameters {
		if config.RuntimeParams[name] == "" {
			config.RuntimeParams[name] = value
		}
	}
	return config, nil
}

// name is what people know the database by.
func name(config *pgx.ConnConfig) string {
	host := config.Host
	if !filepath.IsAbs(host) {
		host = net.JoinHostPort(host, strconv.Itoa(int(config.Port)))
	}
	return config.Database + " on " + host
}
