"""Varnish, nginx and HAProxy as Debian ships them, each with three ways to the API behind it.

All below `/full` goes where one request at a time is taken, all below `/dead` where nobody listens.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.sdk.stub_server import unused_port

# Their own rules throughout; only how long they wait is set, so that a test need not wait as long.
VCL = """vcl 4.1;
backend api {{ .host = "127.0.0.1"; .port = "{backend}"; .first_byte_timeout = 0.2s; }}
backend full {{ .host = "127.0.0.1"; .port = "{backend}"; .max_connections = 1; }}
backend dead {{ .host = "127.0.0.1"; .port = "{nobody}"; }}
sub vcl_recv {{
    if (req.url ~ "^/full/") {{ set req.backend_hint = full; }}
    if (req.url ~ "^/dead/") {{ set req.backend_hint = dead; }}
}}
"""
NGINX = """daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    upstream full {{ zone full 64k; server 127.0.0.1:{backend} max_conns=1; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://127.0.0.1:{backend}; proxy_read_timeout 200ms; }}
        location /full/ {{ proxy_pass http://full; }}
        location /dead/ {{ proxy_pass http://127.0.0.1:{nobody}; }}
    }}
}}
"""
HAPROXY = """defaults
    mode http
    retries 0
    timeout connect 5000
    timeout client 50000
    timeout server 50000
    timeout queue 100
    errorfile 502 /etc/haproxy/errors/502.http
    errorfile 503 /etc/haproxy/errors/503.http
    errorfile 504 /etc/haproxy/errors/504.http
frontend front
    bind 127.0.0.1:{port}
    use_backend full if {{ path_beg /full/ }}
    use_backend dead if {{ path_beg /dead/ }}
    default_backend api
backend api
    timeout server 200
    server one 127.0.0.1:{backend}
backend full
    server one 127.0.0.1:{backend} maxconn 1
backend dead
    server one 127.0.0.1:{nobody}
"""
PROGRAMS = {"Varnish": "varnishd", "nginx": "nginx", "HAProxy": "haproxy"}


def find_program(name: str) -> str | None:
    """Daemons lie in /usr/sbin, which is not on everybody's PATH."""
    return shutil.which(PROGRAMS[name], path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@contextmanager
def running(name: str, backend: int, folder: Path) -> Generator[str]:
    """Start the proxy and give its address."""
    program = find_program(name)
    assert program is not None
    port = unused_port()
    config = folder / PROGRAMS[name]
    template = {"Varnish": VCL, "nginx": NGINX, "HAProxy": HAPROXY}[name]
    config.write_text(template.format(folder=folder, port=port, backend=backend, nobody=unused_port()))
    arguments = {
        "Varnish": ["-F", "-f", str(config), "-a", f"127.0.0.1:{port}", "-n", str(folder / "state"), "-s", "malloc,10M"],
        "nginx": ["-c", str(config), "-p", str(folder), "-e", str(folder / "start.log")],
        "HAProxy": ["-db", "-f", str(config)],
    }[name]
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen([program, *arguments], stdout=output, stderr=output)
    try:
        _await_port(port, process, folder / "output")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def _await_port(port: int, process: subprocess.Popen[bytes], output: Path) -> None:
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"the proxy does not listen: {output.read_text()}")
