package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/sample"
)

const (
	// maxLogBytes is more than an instance's rotated output may take.
	maxLogBytes = 128 << 20
	// maxGrowthBytes is more than a flood of output may add to the memory of apron's own processes.
	maxGrowthBytes = 100 << 20
)

// A container that prints without end, with and without ends of lines, takes bounded disk and memory, and its service and
// the others go on.
func TestOutputWithoutEndIsBounded(t *testing.T) {
	for _, mode := range []string{"shout", "shout without lines"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			a := shared(t)
			name := strings.ReplaceAll(mode, " ", "-")
			push(t, a, name+":live", sample.Variant{Version: "one", Environment: map[string]string{"MODE": mode}})
			before := memoryOf(a)
			service := a.MustCreate(t, fromImage(name, name+":live", nil))
			logs := filepath.Join(a.Data, "logs", service.ID)
			for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
				a.WantBody(t, service.URL, "/", "one")
				if used := treeSize(t, logs); used > maxLogBytes {
					t.Fatalf("its logs have grown to %d bytes", used)
				}
				if grown := memoryOf(a) - before; grown > maxGrowthBytes {
					t.Fatalf("apron's processes have grown by %d bytes", grown)
				}
				<-time.After(100 * time.Millisecond)
			}
			if lines := service.Lines(t, "application"); len(lines) == 0 {
				t.Error("its log has no lines")
			}
			service.Delete(t)
			if _, err := os.Stat(logs); !os.IsNotExist(err) {
				t.Errorf("its logs are still there after its end (%v)", err)
			}
		})
	}
}

// memoryOf adds up the memory of `apron serve` and of what it runs beside itself, containers excepted.
func memoryOf(a *apron.Apron) (bytes int) {
	for _, each := range a.Processes() {
		bytes += each.Bytes
	}
	return bytes
}

// An API request of 10 MB is refused without being kept, whether it is signed or not.
func TestARequestOf10MBIsRefused(t *testing.T) {
	t.Parallel()
	a := shared(t)
	body := append([]byte(`{"ServiceName":"`), bytes.Repeat([]byte("a"), 10<<20)...)
	body = append(body, `"}`...)
	for name, sign := range map[string]bool{"signed": true, "unsigned": false} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.Endpoint()+"/", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/x-amz-json-1.0")
		request.Header.Set("X-Amz-Target", "AppRunner.CreateService")
		if sign {
			keys, err := a.Keys()
			if err != nil {
				t.Fatal(err)
			}
			sum := fmt.Sprintf("%x", sha256.Sum256(body))
			if err := v4.NewSigner().SignHTTP(t.Context(), keys, request, sum, "apprunner", a.Region, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		answer, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
		response.Body.Close()
		if response.StatusCode < 400 || response.StatusCode > 499 || !strings.Contains(string(answer), `"__type":"`) {
			t.Errorf("%s: status %d, %s", name, response.StatusCode, answer)
		}
	}
}

// Bodies and answers are streamed: one that is larger than anybody would keep arrives whole, and lines arrive as they are
// written.
func TestBodiesAreStreamed(t *testing.T) {
	t.Parallel()
	a := shared(t)
	push(t, a, "stream:live", sample.Variant{Version: "one"})
	service := a.MustCreate(t, fromImage("stream", "stream:live", nil))

	body := bytes.Repeat([]byte("0123456789abcdef"), 64<<20/16)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+service.URL+"/sum", io.MultiReader(bytes.NewReader(body)))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := a.Do(request)
	if want := fmt.Sprintf("one %x %d", sha256.Sum256(body), len(body)); err != nil || answer.Body != want {
		t.Errorf("64 MiB in chunks: %v %+v, want %q", err, answer, want)
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if request, err = http.NewRequestWithContext(ctx, http.MethodGet, "http://"+service.URL+"/stream", nil); err != nil {
		t.Fatal(err)
	}
	client := a.Client()
	defer client.CloseIdleConnections()
	asked := time.Now()
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	first := make([]byte, len("line 0\n"))
	if _, err := io.ReadFull(response.Body, first); err != nil || string(first) != "line 0\n" {
		t.Fatalf("the first line is %q (%v)", first, err)
	}
	toFirst := time.Since(asked)
	rest, err := io.ReadAll(response.Body)
	if toAll := time.Since(asked); err != nil || !strings.HasSuffix(string(rest), "line 4\n") || toAll-toFirst < 200*time.Millisecond {
		t.Errorf("the first line came after %s, all after %s (%v): %q", toFirst, toAll, err, rest)
	}
}

// What an instance writes to its disk is limited, and its end is told.
func TestWritableStorageIsLimited(t *testing.T) {
	t.Parallel()
	a := shared(t)
	push(t, a, "writer:live", sample.Variant{Version: "one"})
	service := a.MustCreate(t, fromImage("writer", "writer:live", nil))
	a.WantBody(t, service.URL, "/write?path=/small&mib=64", "written")
	answer, err := a.TryGet(t.Context(), service.URL, "/write?path=/large&mib=3100")
	if err == nil && answer.Status == http.StatusOK {
		t.Errorf("3.1 GB were written: %+v", answer)
	}
	service.Delete(t)
}
