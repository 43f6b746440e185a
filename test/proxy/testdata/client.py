"""Asks through the proxy as Python programs do. The first argument is the proxy's address, the second the host."""
import hashlib
import http.client
import os
import sys

import urllib3

address, host = sys.argv[1:]
large = os.urandom(3 << 20)
summed = f"{hashlib.sha256(large).hexdigest()} {len(large)}"

conn = http.client.HTTPConnection(address, timeout=20)
for i in range(100):
    conn.request("GET", "/hello", headers={"Host": host})
    response = conn.getresponse()
    assert (response.status, response.read()) == (200, b"hello"), i
    first = conn.sock if i == 0 else first
    assert conn.sock is first, "the connection was not kept"
conn.request("POST", "/sum", body=large, headers={"Host": host})
assert conn.getresponse().read().decode() == summed
pieces = (large[i : i + 10_000] for i in range(0, len(large), 10_000))
conn.request("POST", "/sum", body=pieces, headers={"Host": host}, encode_chunked=True)
assert conn.getresponse().read().decode() == summed
conn.request("HEAD", "/hello", headers={"Host": host})
response = conn.getresponse()
assert (response.getheader("Content-Length"), response.read()) == ("5", b"")
conn.request("GET", "/trailers", headers={"Host": host})
assert conn.getresponse().read() == b"pieces" * 3
conn.close()

pool = urllib3.HTTPConnectionPool(*address.split(":"), maxsize=2, retries=False, timeout=20)
for i in range(50):
    assert pool.request("GET", "/hello", headers={"Host": host}).data == b"hello"
assert pool.num_connections == 1, pool.num_connections
assert pool.request("POST", "/sum", fields={"file": ("name", b"content")}, headers={"Host": host}).status == 200
response = pool.request("GET", "/stream", headers={"Host": host}, preload_content=False)
lines = b"".join(response.stream(7)).split(b"\n\n")
assert lines[:3] == [b"data: 0", b"data: 1", b"data: 2"], lines
print("ok")
