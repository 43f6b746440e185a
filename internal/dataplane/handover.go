package dataplane

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// SocketOf is where a data plane takes orders that had the socket, until the process was set aside for the next one.
func SocketOf(socket string, pid int) string {
	return strings.TrimSuffix(socket, ".sock") + "-" + strconv.Itoa(pid) + ".sock"
}

// setAside lists the processes that were set aside, with those that have ended, by their sockets.
func setAside(socket string) (sockets []string) {
	begin := strings.TrimSuffix(filepath.Base(socket), ".sock") + "-"
	entries, _ := os.ReadDir(filepath.Dir(socket)) // without the folder there is no socket either
	for _, each := range entries {
		if name := each.Name(); strings.HasPrefix(name, begin) && strings.HasSuffix(name, ".sock") {
			sockets = append(sockets, filepath.Join(filepath.Dir(socket), name))
		}
	}
	return sockets
}

// listen returns the sockets of all places. What a data plane that was set aside listens on comes from there, so that there is
// no moment at which nobody listens; the rest is opened.
func listen(ctx context.Context, config ServerConfig) (map[place]socket, error) {
	places := config.places()
	sockets, earlier, others := map[place]socket{}, map[string]*net.UnixConn{}, setAside(config.Socket)
	for _, other := range others {
		found, err := receive(ctx, other)
		if err != nil && !isGone(err) {
			config.Log.Warn("take listeners over", "socket", other, "error", err)
		}
		for at, each := range found.sockets {
			if !slices.Contains(places, at) || sockets[at] != nil {
				each.Close()
				continue
			}
			sockets[at] = each
		}
		for name, each := range found.packets {
			at, tag, _ := strings.Cut(name, packetsMark)
			if key, err := hex.DecodeString(tag); err == nil && slices.Contains(places, placeOf(at)) {
				earlier[string(key)] = each
				continue
			}
			each.Close() // the earlier one goes on reading an address of its own
		}
	}
	for _, at := range places {
		if sockets[at] != nil {
			continue
		}
		opened, err := open(ctx, at, others)
		if at.network == "udp" && errors.Is(err, syscall.EADDRINUSE) && len(others) > 0 {
			config.Log.Warn("no HTTP/3 until the next start: the data plane before still needs an address that overlaps", "error", err)
			continue
		}
		if err != nil {
			for _, each := range sockets {
				each.Close()
			}
			for _, each := range earlier {
				each.Close()
			}
			return nil, at.explain(err)
		}
		sockets[at] = opened
	}
	if conn, ok := sockets[config.httpsPlace("udp")].(*net.UDPConn); ok {
		sockets[config.httpsPlace("udp")] = newPackets(conn, earlier)
	}
	return sockets, nil
}

// leaveTimeout is how long those that were told to leave may take to give up an address.
const leaveTimeout = 5 * time.Second

// open listens on an address. One that is in use may overlap with an address that the others had, such as the same port on
// all interfaces: they leave then. A UDP socket they need for the connections that they have.
func open(ctx context.Context, at place, others []string) (socket, error) {
	opened, err := at.open(ctx)
	if at.network == "tcp" && errors.Is(err, syscall.EADDRINUSE) && len(others) > 0 {
		client := newHTTP()
		for _, other := range others {
			_ = order(ctx, client, other, http.MethodPost, leavePath, nil, nil) // one that is gone has left too
		}
		// A listener that was closed is gone when its last call of accept has returned.
		for deadline := time.Now().Add(leaveTimeout); errors.Is(err, syscall.EADDRINUSE) && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			opened, err = at.open(ctx)
		}
	}
	return opened, err
}

// isAlone says whether no data plane is left that was set aside. One that does not answer may have requests all the same, and so may one
// that cannot be looked for.
func isAlone(ctx context.Context, socket string) bool {
	if _, err := os.ReadDir(filepath.Dir(socket)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	for _, each := range setAside(socket) {
		conn, err := (&net.Dialer{Timeout: orderTimeout}).DialContext(ctx, "unix", each)
		if err == nil {
			conn.Close()
		}
		if !isGone(err) {
			return false
		}
	}
	return true
}

// handOver sends the listening sockets over the connection of the order itself, which they need beside the bytes. A data
// plane that has left has none. From now on another one may have requests for the same instances, so that they must not be frozen.
func (s *server) handOver(w http.ResponseWriter, _ *http.Request) {
	s.proxy.StopFreezing()
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		s.log.Warn("hand listeners over", "error", err)
		return
	}
	defer conn.Close()
	var message listenersMessage
	var sockets []int
	// A program that knows no UDP sockets takes those before them.
	for _, at := range slices.SortedFunc(maps.Keys(s.sockets), place.compare) {
		socket, err := duplicate(s.sockets[at])
		if err != nil {
			continue // it is closed
		}
		defer unix.Close(socket)
		message.Names, sockets = append(message.Names, at.name()), append(sockets, socket)
		if shared, ok := s.sockets[at].(*packets); ok {
			file, err := shared.pair()
			if err != nil {
				s.log.Warn("make a socket for packets", "error", err)
				continue
			}
			defer file.Close()
			message.Names, sockets = append(message.Names, shared.name(at)), append(sockets, int(file.Fd()))
		}
	}
	beside := unix.UnixRights(sockets...)
	content, err := json.Marshal(message)
	if err == nil {
		_ = conn.SetDeadline(time.Now().Add(orderTimeout))
		_, _, err = conn.(*net.UnixConn).WriteMsgUnix(content, beside, nil)
	}
	if err != nil {
		s.log.Warn("hand listeners over", "error", err)
	}
}

// duplicate returns another descriptor of the listener's socket. That of the File method would make the socket block, for
// the listener too.
func duplicate(original socket) (copied int, err error) {
	raw, err := original.SyscallConn()
	if err != nil {
		return 0, err
	}
	controlErr := raw.Control(func(fd uintptr) { copied, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	return copied, errors.Join(controlErr, err)
}

// received is what a data plane has handed over: its sockets, and by their names those by which it is passed packets.
type received struct {
	sockets map[place]socket
	packets map[string]*net.UnixConn
}

// receive asks the data plane at the socket for its listeners.
func receive(ctx context.Context, path string) (found received, err error) {
	conn, err := (&net.Dialer{Timeout: orderTimeout}).DialContext(ctx, "unix", path)
	if err != nil {
		return found, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(orderTimeout))
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://dataplane"+listenersPath, nil)
	if err != nil {
		return found, err
	}
	if err := request.Write(conn); err != nil {
		return found, err
	}
	content, rights := make([]byte, 4096), make([]byte, unix.CmsgSpace(16*4))
	n, beside, _, _, err := conn.(*net.UnixConn).ReadMsgUnix(content, rights)
	if err != nil {
		return found, err
	}
	var descriptors []int
	controls, err := unix.ParseSocketControlMessage(rights[:beside])
	for _, control := range controls {
		more, _ := unix.ParseUnixRights(&control)
		descriptors = append(descriptors, more...)
	}
	files := make([]*os.File, len(descriptors))
	for i, each := range descriptors {
		files[i] = os.NewFile(uintptr(each), "listener")
		defer files[i].Close()
	}
	var message listenersMessage
	if err := errors.Join(err, json.Unmarshal(content[:n], &message)); err != nil {
		return found, err
	}
	if len(message.Names) != len(files) {
		return found, fmt.Errorf("%d names came with %d sockets", len(message.Names), len(files))
	}
	found = received{map[place]socket{}, map[string]*net.UnixConn{}}
	for i, name := range message.Names {
		if strings.Contains(name, packetsMark) {
			conn, err := packetConn(files[i])
			if err != nil {
				return found, err
			}
			found.packets[name] = conn
			continue
		}
		at := placeOf(name)
		adopted, err := at.adopt(files[i])
		if err != nil {
			return found, err
		}
		found.sockets[at] = adopted
	}
	return found, nil
}

// isGone says whether an error means that nobody is at a socket.
func isGone(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, os.ErrNotExist)
}
