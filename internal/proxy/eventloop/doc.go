// Package eventloop waits for many sockets with few threads: each Loop is one goroutine that asks epoll what is ready and
// calls the handlers, which read and write without ever waiting.
//
// A goroutine for each connection costs a stack, buffers and, for each request, several switches of the scheduler; here a
// connection that is idle costs what its handler holds, and a request costs its system calls. They go past the scheduler
// (RawSyscall), because none of them waits.
//
// # What holds
//
//   - Everything of a Loop is touched by its goroutine only, Post, Unwatch and Stop apart. So handlers need no locks.
//   - Sockets are registered once, edge-triggered, for all that can happen: a handler remembers what it was told until a read
//     or a write says that there is no more.
//   - A handler is never called for a socket that was removed, even if another socket has its number by then.
//   - Timers fire late, by TimerGrain at most, and never early.
package eventloop
