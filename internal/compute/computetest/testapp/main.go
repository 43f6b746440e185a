// Command testapp is the app in the images of tests. Its first argument says how it behaves.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	mode := "serve"
	if len(os.Args) > 1 {
		mode = os.Args[1]
	}
	switch mode {
	case "exit":
		code, _ := strconv.Atoi(os.Args[2])
		fmt.Println("exiting with", code)
		os.Exit(code)
	case "silent":
		fmt.Println("listening on nothing")
		waitForSignal()
	case "hog":
		hog()
	case "fill":
		fill()
	case "fork":
		fork()
	case "print":
		for {
			fmt.Println(strings.Repeat("x", 200))
		}
	case "deaf":
		serve(func() { signal.Ignore(syscall.SIGTERM) })
	case "sleep":
		time.Sleep(time.Hour)
	default:
		serve(endWhenAsked)
	}
}

// serve answers with what tests want to know about the inside of an instance. Beside that it runs untilAsked.
func serve(untilAsked func()) {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello from %s\n", os.Getenv("VERSION"))
	})
	http.HandleFunc("/env", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, strings.Join(os.Environ(), "\n"))
	})
	http.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) {
		content, err := os.ReadFile(r.URL.Query().Get("path"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusTeapot)
			return
		}
		_, _ = w.Write(content)
	})
	http.HandleFunc("/write", func(w http.ResponseWriter, r *http.Request) {
		if err := os.WriteFile(r.URL.Query().Get("path"), []byte("x"), 0o600); err != nil {
			http.Error(w, err.Error(), http.StatusTeapot)
		}
	})
	http.HandleFunc("/dial", func(w http.ResponseWriter, r *http.Request) {
		conn, err := net.DialTimeout("tcp", r.URL.Query().Get("address"), time.Second)
		if err != nil {
			http.Error(w, err.Error(), http.StatusTeapot)
			return
		}
		defer conn.Close()
		fmt.Fprintln(w, "connected")
	})
	http.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	http.HandleFunc("/exit", func(http.ResponseWriter, *http.Request) { os.Exit(7) })
	fmt.Println("listening on", os.Getenv("PORT"))
	fmt.Fprintln(os.Stderr, "a line on stderr")
	go untilAsked()
	fmt.Println(http.ListenAndServe(":"+os.Getenv("PORT"), nil))
	os.Exit(1)
}

func endWhenAsked() {
	waitForSignal()
	os.Exit(0)
}

func waitForSignal() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	<-signals
}

// hog takes memory until it is stopped.
func hog() {
	var all [][]byte
	for {
		block := make([]byte, 16<<20)
		for i := range block {
			block[i] = byte(i)
		}
		all = append(all, block)
		runtime.KeepAlive(all)
	}
}

// fill writes to the file system until there is no more room, says how far it came, and serves.
func fill() {
	file, err := os.Create("/filled")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	writer := bufio.NewWriterSize(file, 1<<20)
	block := make([]byte, 1<<20)
	for written := 0; ; written++ {
		if _, err := writer.Write(block); err != nil {
			fmt.Printf("stopped after %d MiB: %v\n", written, err)
			break
		}
	}
	serve(endWhenAsked)
}

// fork starts processes until it may not, says how many, and serves.
func fork() {
	for n := 0; ; n++ {
		attributes := &os.ProcAttr{}
		if _, err := os.StartProcess("/testapp", []string{"/testapp", "sleep"}, attributes); err != nil {
			fmt.Printf("stopped after %d processes: %v\n", n, err)
			break
		}
	}
	serve(endWhenAsked)
}
