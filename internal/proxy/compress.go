package proxy

import (
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

const (
	// minCompressed is the length below which compressing gains less than it costs.
	minCompressed = 1024
	// compressionLevel is the one beyond which more time gains little.
	compressionLevel = 5
)

// compressible are the types, beside text/*, +json, +xml and +text, that are smaller when compressed.
var compressible = []string{
	"application/javascript", "application/json", "application/x-javascript", "application/xml", "application/x-ndjson", "application/wasm",
	"application/manifest+json", "application/rtf", "application/vnd.ms-fontobject", "application/x-font-ttf", "font/otf", "font/ttf", "image/bmp",
	"image/svg+xml", "image/vnd.microsoft.icon", "image/x-icon",
}

// compressors hold a megabyte each. Event streams are open for long and by the thousand, so each of their events is compressed by itself.
var compressors, eventCompressors = poolOf(compressionLevel), poolOf(gzip.StatelessCompression)

func poolOf(level int) *sync.Pool {
	return &sync.Pool{New: func() any {
		w, err := gzip.NewWriterLevel(io.Discard, level)
		if err != nil {
			panic(err) // the level is a constant
		}
		return w
	}}
}

// compress decides whether an answer is compressed for the client, and sets its headers so. They are those that the client gets; the
// app's answer stays as it is.
func compress(header http.Header, request *http.Request, response *http.Response) bool {
	if response.StatusCode == http.StatusNotModified {
		weakenKnownTag(header, request)
		return false
	}
	if !mayCompress(header, response) {
		return false
	}
	addVary(header)
	gzipped, rank := qualityOf(request.Header["Accept-Encoding"], func(name string) int {
		switch name {
		case "gzip", "x-gzip":
			return 2
		case "*":
			return 1
		}
		return 0
	})
	if rank == 0 || gzipped == 0 {
		return false
	}
	header["Content-Encoding"] = []string{"gzip"}
	delete(header, "Content-Length")
	delete(header, "Accept-Ranges") // they would be of what is not sent
	weakenTag(header)
	return true
}

// weakenTag makes the tag say the same content, of other bytes.
func weakenTag(header http.Header) {
	if tag := header.Get("Etag"); tag != "" && !strings.HasPrefix(tag, "W/") {
		header["Etag"] = []string{"W/" + tag}
	}
}

// weakenKnownTag makes of the tag of a 304 the one that the client has from an answer that was compressed: a cache updates what has the
// very tag only (RFC 9111, 4.3.4).
func weakenKnownTag(header http.Header, request *http.Request) {
	if known := request.Header["If-None-Match"]; !hasToken(known, header.Get("Etag")) && hasToken(known, "W/"+header.Get("Etag")) {
		weakenTag(header)
		addVary(header)
	}
}

// mayCompress says whether an answer would be compressed for a client that can read that.
func mayCompress(header http.Header, response *http.Response) bool {
	switch {
	case response.StatusCode < 200, response.StatusCode == http.StatusNoContent, response.StatusCode == http.StatusPartialContent:
		return false
	case response.ContentLength >= 0 && response.ContentLength < minCompressed:
		return false
	case hasToken(header["Cache-Control"], "no-transform"):
		return false
	}
	for _, name := range []string{"Content-Encoding", "Content-Range", "Content-Md5", "Digest", "Content-Digest", "Repr-Digest"} { // say something of the bytes
		if header[name] != nil {
			return false
		}
	}
	kind := kindOf(header)
	if strings.HasPrefix(kind, "application/grpc") { // which compresses its messages by itself, and reads nothing else
		return false
	}
	return strings.HasPrefix(kind, "text/") || slices.Contains(compressible, kind) ||
		slices.ContainsFunc([]string{"+json", "+xml", "+text"}, func(suffix string) bool { return strings.HasSuffix(kind, suffix) })
}

func kindOf(header http.Header) string {
	kind, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	return kind
}

// addVary tells caches that the answer is another for clients that accept other encodings.
func addVary(header http.Header) {
	if !hasToken(header["Vary"], "Accept-Encoding") && !hasToken(header["Vary"], "*") {
		header["Vary"] = append(slices.Clone(header["Vary"]), "Accept-Encoding")
	}
}

// compressed sends what is written to it in compressed form. Flush sends all that was written until then.
type compressed struct {
	*gzip.Writer
	flush func() error
	pool  *sync.Pool
}

// newCompressed compresses an answer with this header.
func newCompressed(header http.Header, to io.Writer, flush func() error) *compressed {
	pool := compressors
	if kindOf(header) == "text/event-stream" {
		pool = eventCompressors
	}
	w := pool.Get().(*gzip.Writer)
	w.Reset(to)
	return &compressed{w, flush, pool}
}

func (c *compressed) Flush() error {
	if err := c.Writer.Flush(); err != nil {
		return err
	}
	return c.flush()
}

// free lets another answer have the compressor. It is not closed: an answer that was cut short must not look whole.
func (c *compressed) free() {
	c.Reset(io.Discard)
	c.pool.Put(c.Writer)
}
