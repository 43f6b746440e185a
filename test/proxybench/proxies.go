package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// host is the name by which the app is asked for.
	host = "app.bench.localhost"
	// perInstance is the concurrency limit of each of the app's instances.
	perInstance = 100
	// threads is how many threads or processes each proxy has.
	threads = 2
)

// proxy is one of those that are compared, while it runs.
type proxy struct {
	name string
	*process
	address netip.AddrPort
	// dir is its own, with its log and its access log.
	dir     string
	stopped func()
}

// stop ends the proxy and removes its folder.
func (p *proxy) stop() {
	p.process.stop()
	if p.stopped != nil {
		p.stopped()
	}
	_ = os.RemoveAll(p.dir)
}

// written is how many bytes the proxy's files have.
func (p *proxy) written() (total int64) {
	files, _ := os.ReadDir(p.dir)
	for _, each := range files {
		if info, err := each.Info(); err == nil && info.Mode().IsRegular() {
			total += info.Size()
		}
	}
	return total
}

// kind makes a proxy with a folder of its own, before instances that listen at the addresses and take so many requests at a time.
type kind struct {
	name  string
	start func(dir string, to []string, limit int) (*proxy, error)
}

// kinds are in the order of the table. Each has the same settings: keep-alive on both sides, X-Forwarded-For, the
// instance with the fewest requests, a limit of requests per instance, an access log in a file.
var kinds = []kind{{"haproxy", startHAProxy}, {"nginx", startNginx}, {"caddy", startCaddy}, {"apron", startApron}}

const haproxyConfig = `
global
  nbthread %[1]d
  maxconn 10500
  no strict-limits
  log stdout format raw local0
defaults
  mode http
  log global
  option httplog
  option forwardfor
  http-reuse always
  balance leastconn
  timeout connect 5s
  timeout client 120s
  timeout server 120s
  timeout tunnel 10m
  timeout http-keep-alive 75s
listen app
  bind %[2]s
`

func startHAProxy(dir string, to []string, limit int) (*proxy, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	config := fmt.Sprintf(haproxyConfig, threads, address)
	for i, each := range to {
		config += fmt.Sprintf("  server s%d %s maxconn %d\n", i, each, limit)
	}
	return run("haproxy", dir, address, config, "haproxy", "-db", "-f")
}

// Large bodies stream as they do elsewhere: nginx would write them to a file first.
const nginxConfig = `
daemon off;
worker_processes %[1]d;
worker_rlimit_nofile 20000;
pid %[2]s/nginx.pid;
error_log %[2]s/nginx.log warn;
events { worker_connections 12000; multi_accept off; }
http {
  client_body_temp_path %[2]s; proxy_temp_path %[2]s; fastcgi_temp_path %[2]s; uwsgi_temp_path %[2]s; scgi_temp_path %[2]s;
  log_format bench '$time_iso8601 $remote_addr "$request" $host $status $body_bytes_sent $upstream_addr $request_time $upstream_response_time "$http_referer" "$http_user_agent"';
  access_log %[2]s/nginx-access.log bench buffer=64k flush=1s;
  keepalive_timeout 75s; keepalive_requests 1000000000; client_max_body_size 0;
  map $http_upgrade $connection_header { default upgrade; "" ""; }
  upstream app {
    zone app 256k;
    least_conn;
%[3]s    keepalive 200; keepalive_requests 1000000000; keepalive_time 24h;
  }
  server {
    listen %[4]s backlog=4096;
    location / {
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header Connection $connection_header;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_request_buffering off; proxy_max_temp_file_size 0;
    }
  }
}
`

func startNginx(dir string, to []string, limit int) (*proxy, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	servers := ""
	for _, each := range to {
		servers += fmt.Sprintf("    server %s max_conns=%d;\n", each, limit)
	}
	return run("nginx", dir, address, fmt.Sprintf(nginxConfig, threads, dir, servers, address), "nginx", "-c")
}

const caddyConfig = `
{
	admin off
	auto_https off
	servers {
		timeouts {
			idle 75s
		}
	}
}
http://:%[1]s {
	bind 127.0.0.1
	log {
		output file %[2]s/caddy-access.log {
			roll_disabled
		}
	}
	reverse_proxy %[3]s {
		lb_policy least_conn
		transport http {
			max_conns_per_host %[4]d
			keepalive_idle_conns_per_host %[4]d
		}
	}
}
`

func startCaddy(dir string, to []string, limit int) (*proxy, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(address)
	config := fmt.Sprintf(caddyConfig, port, dir, strings.Join(to, " "), limit)
	return run("caddy", dir, address, config, "caddy", "run", "--adapter", "caddyfile", "--config")
}

// run starts a program that reads its configuration from the file that the last argument names, and waits until it accepts
// connections at the address.
func run(name, dir, address, config, program string, arguments ...string) (*proxy, error) {
	path := filepath.Join(dir, "config")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return nil, err
	}
	return runWith(name, dir, address, program, append(arguments, path)...)
}

// runWith is run for a program without a configuration.
func runWith(name, dir, address, program string, arguments ...string) (*proxy, error) {
	environment := []string{fmt.Sprintf("GOMAXPROCS=%d", threads), "HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir}
	child, err := start(dir, name, environment, program, arguments...)
	if err != nil {
		return nil, err
	}
	p := &proxy{name: name, process: child, address: netip.MustParseAddrPort(address), dir: dir}
	if err := p.awaitListening(); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

func (p *proxy) awaitListening() error {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.DialTimeout("tcp", p.address.String(), time.Second)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s has ended; it says:\n%s", p.name, p.tail())
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not listen on %s: %w; it says:\n%s", p.name, p.address, err, p.tail())
		}
	}
}

func freeAddress() (string, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}
