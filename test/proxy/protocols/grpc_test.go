package protocols

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/grpclog"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy"
)

// failing makes the interoperability tests end the running test instead of the process.
type failing struct {
	grpclog.LoggerV2
	current atomic.Pointer[testing.T]
}

func (f *failing) FatalDepth(_ int, args ...any) { f.current.Load().Fatal(args...) }
func (f *failing) InfoDepth(int, ...any)         {}
func (f *failing) WarningDepth(int, ...any)      {}
func (f *failing) ErrorDepth(int, ...any)        {}

var calls = &failing{LoggerV2: grpclog.NewLoggerV2(os.Stderr, os.Stderr, os.Stderr)}

func TestMain(m *testing.M) {
	grpclog.SetLoggerV2(calls)
	os.Exit(m.Run())
}

const grpcHost = "grpc.us-east-1." + domain

// channels are the two ways of a gRPC client to a service.
func (w *world) channels(t *testing.T) map[string]*grpc.ClientConn {
	t.Helper()
	channels := map[string]*grpc.ClientConn{}
	for name, way := range map[string]struct {
		address     string
		credentials credentials.TransportCredentials
	}{"tls": {w.encrypted, credentials.NewTLS(w.tls(grpcHost))}, "h2c": {w.plain, insecure.NewCredentials()}} {
		channel, err := grpc.NewClient("passthrough:///"+way.address, grpc.WithTransportCredentials(way.credentials), grpc.WithAuthority(grpcHost))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { channel.Close() })
		channels[name] = channel
	}
	return channels
}

// grpcApp starts gRPC's own test server.
func grpcApp(t *testing.T) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(server, interop.NewTestServer())
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

// All cases of https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md but those of credentials of Google and of the
// choice between addresses.
func TestEveryInteroperabilityTestOfGRPCPasses(t *testing.T) {
	w := newWorld(t, proxy.Config{})
	w.serve(grpcHost, platform.AppProtocolH2C, grpcApp(t))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for way, channel := range w.channels(t) {
		client, unknown := testgrpc.NewTestServiceClient(channel), testgrpc.NewUnimplementedServiceClient(channel)
		for name, run := range map[string]func(){
			"empty_unary":                 func() { interop.DoEmptyUnaryCall(ctx, client) },
			"large_unary":                 func() { interop.DoLargeUnaryCall(ctx, client) },
			"client_streaming":            func() { interop.DoClientStreaming(ctx, client) },
			"server_streaming":            func() { interop.DoServerStreaming(ctx, client) },
			"ping_pong":                   func() { interop.DoPingPong(ctx, client) },
			"empty_stream":                func() { interop.DoEmptyStream(ctx, client) },
			"timeout_on_sleeping_server":  func() { interop.DoTimeoutOnSleepingServer(ctx, client) },
			"cancel_after_begin":          func() { interop.DoCancelAfterBegin(ctx, client) },
			"cancel_after_first_response": func() { interop.DoCancelAfterFirstResponse(ctx, client) },
			"status_code_and_message":     func() { interop.DoStatusCodeAndMessage(ctx, client) },
			"special_status_message":      func() { interop.DoSpecialStatusMessage(ctx, client) },
			"custom_metadata":             func() { interop.DoCustomMetadata(ctx, client) },
			"unimplemented_method":        func() { interop.DoUnimplementedMethod(ctx, channel) },
			"unimplemented_service":       func() { interop.DoUnimplementedService(ctx, unknown) },
		} {
			t.Run(way+"/"+name, func(t *testing.T) {
				calls.current.Store(t)
				run()
			})
		}
	}
}

// call makes one call and returns its status.
func call(t *testing.T, channel *grpc.ClientConn) *status.Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := testgrpc.NewTestServiceClient(channel).EmptyCall(ctx, &testgrpc.Empty{})
	return status.Convert(err)
}

func TestACallerGetsAStatusOfGRPCForWhatTheProxyAnswersItself(t *testing.T) {
	w := newWorld(t, proxy.Config{RequestTimeout: 500 * time.Millisecond, HoldTimeout: 100 * time.Millisecond})
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	broken := app(t, platform.AppProtocolH2C, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	silent := app(t, platform.AppProtocolH2C, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	late := app(t, platform.AppProtocolH2C, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	serving, paused := platform.RouteStateServing, platform.RouteStatePaused
	for name, one := range map[string]struct {
		state   platform.RouteState
		host    string
		address string
		want    codes.Code
		message string
	}{
		"nobody has the host":      {serving, "other." + domain, "", codes.Unimplemented, "No service answers at " + grpcHost},
		"paused":                   {paused, grpcHost, "", codes.Unavailable, "is paused"},
		"no instance accepts":      {serving, grpcHost, closed.Addr().String(), codes.Unavailable, "accepts connections"},
		"broken off":               {serving, grpcHost, broken, codes.Unavailable, "broke off"},
		"no answer in time":        {serving, grpcHost, silent, codes.DeadlineExceeded, "did not answer"},
		"no end of answer in time": {serving, grpcHost, late, codes.DeadlineExceeded, "took too long"},
	} {
		t.Run(name, func(t *testing.T) {
			route := platform.Route{
				ServiceID: "service", ServiceName: "app", Hosts: []string{one.host}, State: one.state, Traffic: platform.Traffic{Protocol: platform.AppProtocolH2C},
			}
			if one.address != "" {
				route.Endpoints = []platform.Endpoint{{InstanceID: "instance", Address: one.address}}
			}
			w.SetRoutes([]platform.Route{route})
			got := call(t, w.channels(t)["h2c"])
			if got.Code() != one.want || !strings.Contains(got.Message(), one.message) {
				t.Errorf("the status is %v: %s", got.Code(), got.Message())
			}
		})
	}
}

// A call that its client gives up ends in the app too.
func TestTheAppSeesThatACallIsCancelled(t *testing.T) {
	w := newWorld(t, proxy.Config{})
	began, ended := make(chan struct{}), make(chan struct{})
	w.serve(grpcHost, platform.AppProtocolH2C, app(t, platform.AppProtocolH2C, func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		close(ended)
	}))
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	client := testgrpc.NewTestServiceClient(w.channels(t)["tls"])
	go func() {
		_, err := client.EmptyCall(ctx, &testgrpc.Empty{})
		failed <- err
	}()
	<-began
	cancel()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the app goes on")
	}
	if err := <-failed; status.Code(err) != codes.Canceled {
		t.Error(fmt.Errorf("the call ended with %w", err))
	}
}
