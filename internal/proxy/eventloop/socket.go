package eventloop

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"
)

// These go past the scheduler: none of them waits.

// Read reads what has arrived; 0 without an error is the end. EAGAIN says that nothing has arrived.
func Read(fd int, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// Peek says whether a read would find something: bytes, or the end when there are none.
func Peek(fd int) (n int, err syscall.Errno) {
	var one [1]byte
	found, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&one)), 1, syscall.MSG_PEEK, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(found), 0
}

// HasUnread says whether bytes wait to be read.
func HasUnread(fd int) bool {
	n, _ := Peek(fd)
	return n > 0
}

// Write writes what the socket takes. EAGAIN says that it takes nothing now.
func Write(fd int, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), syscall.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// EndWriting tells the other side that no more will come.
func EndWriting(fd int) syscall.Errno {
	_, _, errno := syscall.RawSyscall(syscall.SYS_SHUTDOWN, uintptr(fd), syscall.SHUT_WR, 0)
	return errno
}

// SetUp turns on what every connection should have: small pieces are sent at once, and a peer that is gone is noticed.
func SetUp(fd int) {
	for _, each := range [][3]int{
		{syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1}, {syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
		{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, 15}, {syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, 15},
	} {
		_ = syscall.SetsockoptInt(fd, each[0], each[1], each[2]) // a connection that is gone already is noticed later
	}
}

// Accept takes a connection from a listening socket. EAGAIN says that there is none.
func Accept(listener int) (fd int, peer netip.AddrPort, err syscall.Errno) {
	var address syscall.RawSockaddrAny
	size := uint32(syscall.SizeofSockaddrAny)
	n, _, errno := syscall.RawSyscall6(syscall.SYS_ACCEPT4, uintptr(listener), uintptr(unsafe.Pointer(&address)), uintptr(unsafe.Pointer(&size)), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return 0, peer, errno
	}
	switch address.Addr.Family {
	case syscall.AF_INET:
		from := (*syscall.RawSockaddrInet4)(unsafe.Pointer(&address))
		peer = netip.AddrPortFrom(netip.AddrFrom4(from.Addr), port(&from.Port))
	case syscall.AF_INET6:
		from := (*syscall.RawSockaddrInet6)(unsafe.Pointer(&address))
		peer = netip.AddrPortFrom(netip.AddrFrom16(from.Addr), port(&from.Port))
	}
	return int(n), peer, 0
}

// port reads a port as the kernel has it.
func port(p *uint16) uint16 { return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(p))[:]) }

// Connect begins a connection. The socket can be written once it is made; ConnectError tells how that went.
func Connect(to netip.AddrPort) (fd int, err error) {
	address := to.Addr().Unmap()
	family := syscall.AF_INET
	var target syscall.Sockaddr = &syscall.SockaddrInet4{Port: int(to.Port())}
	if address.Is4() {
		target.(*syscall.SockaddrInet4).Addr = address.As4()
	} else {
		family = syscall.AF_INET6
		target = &syscall.SockaddrInet6{Port: int(to.Port()), Addr: address.As16()}
	}
	fd, err = syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if err := syscall.Connect(fd, target); err != nil && err != syscall.EINPROGRESS {
		syscall.Close(fd)
		return 0, err
	}
	SetUp(fd)
	return fd, nil
}

// ConnectError is why a connection could not be made, or nil.
func ConnectError(fd int) error {
	code, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ERROR)
	if err == nil && code != 0 {
		err = syscall.Errno(code)
	}
	return err
}
