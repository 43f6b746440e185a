"""A small web app of Python's standard library: answers with a greeting and what it knows about its request."""

import json
import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GREETING = "Hello from Python"
PORT = int(os.environ.get("PORT", "8080"))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = json.dumps({"message": GREETING, "path": self.path, "mode": os.environ.get("MODE", "development")})
        content = body.encode() + b"\n"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class Server(ThreadingHTTPServer):
    # Connections that wait while this process starts others are not refused.
    request_queue_size = 128
    # Handlers that still answer are waited for when the server closes.
    daemon_threads = False


def main():
    server = Server(("", PORT), Handler)

    # SIGTERM means: finish what is running and end. shutdown() waits for the loop, so it must not run on the loop's thread.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"listening on port {PORT}", flush=True)
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    print("stopped", flush=True)


if __name__ == "__main__":
    main()
