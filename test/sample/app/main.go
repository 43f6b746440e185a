// Command app is what the tests deploy: a small server whose behaviour a test chooses by its environment and by the
// paths it asks for. It is built without cgo, so that it runs in an image that holds nothing else.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/apron-run/apron/test/websocket"
)

// id tells one process from the next.
var id = rand.Text()

func main() {
	log.SetFlags(0)
	log.SetOutput(os.Stdout)
	begin(os.Getenv("MODE"))
	if delay, err := time.ParseDuration(os.Getenv("START_DELAY")); err == nil {
		time.Sleep(delay)
	}
	address := ":" + cmp.Or(os.Getenv("LISTEN"), os.Getenv("PORT"), "8080")
	server := &http.Server{Addr: address, Handler: routes()}
	log.Printf("version %s listens on %s", version(), address)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		asked, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		<-asked.Done()
		log.Print("asked to end")
		server.Shutdown(context.Background())
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
	<-ended
}

// begin misbehaves before the server listens, as the mode says.
func begin(mode string) {
	switch mode {
	case "silent":
		log.Print("still waiting for the database")
		time.Sleep(time.Hour) // an empty select would be a deadlock, and Go ends the program
	case "exit":
		log.Print("the configuration has no DATABASE_URL")
		code, _ := strconv.Atoi(os.Getenv("EXIT_CODE"))
		os.Exit(code)
	case "eat":
		log.Print("loading everything into memory")
		eat()
	case "shout":
		go shout(strings.Repeat("all work and no play ", 48))
	case "shout without lines":
		go shout(strings.Repeat("a", 1000))
	}
}

func version() string { return cmp.Or(os.Getenv("VERSION"), "none") }

func routes() http.Handler {
	mux := http.NewServeMux()
	answer := func(pattern string, text func(*http.Request) (string, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			content, err := text(r)
			w.Header().Set("X-Version", version())
			if err != nil {
				http.Error(w, err.Error(), http.StatusTeapot)
				return
			}
			io.WriteString(w, content)
		})
	}
	answer("/", func(*http.Request) (string, error) { return version(), nil })
	answer("/id", func(*http.Request) (string, error) { return id, nil })
	answer("/env", func(r *http.Request) (string, error) { return os.Getenv(r.FormValue("name")), nil })
	answer("/header", func(r *http.Request) (string, error) {
		return strings.Join(r.Header[r.URL.Query().Get("name")], ", "), nil
	})
	answer("POST /sum", sum)
	answer("/slow", func(r *http.Request) (string, error) {
		wait, err := time.ParseDuration(r.FormValue("for"))
		time.Sleep(wait)
		return version(), err
	})
	answer("/spin", spin)
	answer("/hoard", hoard)
	answer("/read", func(r *http.Request) (string, error) {
		content, err := os.ReadFile(r.FormValue("path"))
		return string(content), err
	})
	answer("/write", write)
	answer("/dial", dial)
	answer("/try", try)
	answer("/print", func(r *http.Request) (string, error) {
		_, err := fmt.Println(r.FormValue("line"))
		return "", err
	})
	answer("/exit", func(r *http.Request) (string, error) {
		code, _ := strconv.Atoi(r.FormValue("code"))
		log.Printf("asked to exit with %d", code)
		time.AfterFunc(50*time.Millisecond, func() { os.Exit(code) })
		return "", nil
	})
	answer("/eat", func(*http.Request) (string, error) {
		log.Print("asked to load everything into memory")
		time.AfterFunc(50*time.Millisecond, eat)
		return "", nil
	})
	mux.HandleFunc("/stream", stream)
	mux.HandleFunc("/socket", websocket.Handler)
	return mux
}

// sum answers with the version and the checksum and length of the body, so that a test can tell that nothing of it was
// lost on the way.
func sum(r *http.Request) (string, error) {
	hash := sha256.New()
	n, err := io.Copy(hash, r.Body)
	return fmt.Sprintf("%s %s %d", version(), hex.EncodeToString(hash.Sum(nil)), n), err
}

// stream sends a line every 100 ms, 5 of them or as many as asked for.
func stream(w http.ResponseWriter, r *http.Request) {
	lines, err := strconv.Atoi(r.FormValue("lines"))
	if err != nil {
		lines = 5
	}
	for i := range lines {
		fmt.Fprintf(w, "line %d\n", i)
		w.(http.Flusher).Flush()
		time.Sleep(100 * time.Millisecond)
	}
}

// write fills a file until as many MiB are written as asked for.
func write(r *http.Request) (string, error) {
	mib, err := strconv.Atoi(r.FormValue("mib"))
	if err != nil {
		return "", err
	}
	file, err := os.OpenFile(r.FormValue("path"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", err
	}
	defer file.Close()
	block := make([]byte, 1<<20)
	for i := range mib {
		if _, err := file.Write(block); err != nil {
			return "", fmt.Errorf("after %d MiB: %w", i, err)
		}
	}
	return "written", nil
}

// eat takes memory, and touches it, until the kernel steps in.
func eat() {
	var kept [][]byte
	for {
		block := make([]byte, 16<<20)
		for i := 0; i < len(block); i += 4096 {
			block[i] = 1
		}
		kept = append(kept, block)
		if len(kept) > 64<<10 {
			return // more than any limit; keeps the compiler from dropping kept
		}
	}
}

func shout(text string) {
	if os.Getenv("MODE") == "shout" {
		text += "\n"
	}
	for {
		if _, err := os.Stdout.WriteString(text); err != nil {
			return
		}
	}
}
