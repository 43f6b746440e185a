// Hello is a small web app that needs nothing but its own program: no shell, no libraries, no certificates.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	port := os.Getenv("PORT")
	if port == "" {
		port = "9000"
	}
	server := &http.Server{Addr: ":" + port, Handler: http.HandlerFunc(greet), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := server.ListenAndServe(); err != http.ErrServerClosed {
			log.Fatal(err)
		}
	}()
	log.Println("listening on port", port)
	<-ctx.Done()
	graceful, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := server.Shutdown(graceful); err != nil {
		log.Fatal(err)
	}
	log.Println("stopped")
}

func greet(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	// An error here means that the client has gone.
	_ = json.NewEncoder(w).Encode(map[string]string{"message": "Hello from a Dockerfile", "path": r.URL.Path})
}
