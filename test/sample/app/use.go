package main

import (
	"net/http"
	"strconv"
	"time"
)

// spin keeps a processor busy until the time is over or the client has left.
func spin(r *http.Request) (string, error) {
	long, err := time.ParseDuration(r.FormValue("for"))
	for end := time.Now().Add(long); time.Now().Before(end) && r.Context().Err() == nil; {
	}
	return version(), err
}

// hoard keeps as many MiB as asked for until the client has left.
func hoard(r *http.Request) (string, error) {
	mib, err := strconv.Atoi(r.FormValue("mib"))
	if err != nil {
		return "", err
	}
	kept := make([]byte, mib<<20)
	for i := 0; i < len(kept); i += 4096 {
		kept[i] = 1
	}
	<-r.Context().Done()
	return strconv.Itoa(len(kept)), nil
}
