"""An image registry of one image, on an engine's loopback, that wants a user and a password."""

import base64
import gzip
import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from support.dockerd import Dockerd
from support.images import root_filesystem

USER, PASSWORD = "puller", "s3cret-word"


class Registry:
    """What it holds, and what it was asked for."""

    def __init__(self, port: int, name: str = "team/app") -> None:
        self.reference = f"127.0.0.1:{port}/{name}:1"
        self.asked: list[str] = []
        tar = root_filesystem()
        layer = gzip.compress(tar, compresslevel=1)
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"]},
                "rootfs": {"type": "layers", "diff_ids": [_digest(tar)]},
            }
        ).encode()
        kind = "application/vnd.docker.distribution.manifest.v2+json"
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": kind,
                "config": _descriptor("application/vnd.docker.container.image.v1+json", config),
                "layers": [_descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", layer)],
            }
        ).encode()
        self.answers = {
            "/v2/": ("application/json", b"{}"),
            f"/v2/{name}/manifests/1": (kind, manifest),
            f"/v2/{name}/manifests/{_digest(manifest)}": (kind, manifest),
            f"/v2/{name}/blobs/{_digest(config)}": ("application/octet-stream", config),
            f"/v2/{name}/blobs/{_digest(layer)}": ("application/octet-stream", layer),
        }


def credentials(password: str = PASSWORD) -> str:
    """X-Registry-Auth as a client sends it."""
    return base64.urlsafe_b64encode(json.dumps({"username": USER, "password": password}).encode()).decode()


@contextmanager
def registry(engine: Dockerd) -> Iterator[Registry]:
    listener = engine.listen()
    holder = Registry(listener.getsockname()[1])
    server = _Server(listener, holder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield holder
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    def __init__(self, listener: socket.socket, holder: Registry) -> None:
        super().__init__(listener.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.holder = holder


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        assert isinstance(self.server, _Server)
        holder = self.server.holder
        wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != wanted:
            return self._send(401, "application/json", b'{"errors":[{"code":"UNAUTHORIZED"}]}', body=body)
        holder.asked.append(self.path)
        kind, content = holder.answers.get(self.path, ("", b""))
        return self._send(200 if kind else 404, kind or "text/plain", content, body=body)

    def _send(self, status: int, kind: str, content: bytes, *, body: bool) -> None:
        self.send_response(status)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if "manifest" in kind:
            self.send_header("Docker-Content-Digest", _digest(content))
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="test"')
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        return


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _descriptor(kind: str, content: bytes) -> dict[str, object]:
    return {"mediaType": kind, "size": len(content), "digest": _digest(content)}
