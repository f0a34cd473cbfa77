"""A process's HTTP door for Prometheus and for whoever restarts it: `/metrics`, `/healthz`, `/readyz`.

It runs in threads of its own, so that it answers while the event loop is busy; a worker that stands still is the
watchdog's affair, not the probe's.
"""

import contextlib
import logging
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from streams.halt import Refusal

logger = logging.getLogger(__name__)

PLAIN = "text/plain; charset=utf-8"


class Readiness(Protocol):
    """Knows whether the process may be sent work."""

    @property
    def is_ready(self) -> bool:
        """Whether `/readyz` says yes."""


def serve(port: int, registry: CollectorRegistry, process: Readiness) -> ThreadingHTTPServer:
    """Answer on `port` (0 takes a free one) from a thread that ends with the process; return the server.

    Raises
    ------
    Refusal
        The port is taken.
    """

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                encode, kind = choose_encoder(self.headers.get("Accept", ""))
                self._answer(HTTPStatus.OK, encode(registry), kind)
            elif path == "/healthz":
                self._answer(HTTPStatus.OK, b"alive\n", PLAIN)
            elif path == "/readyz" and process.is_ready:
                self._answer(HTTPStatus.OK, b"ready\n", PLAIN)
            elif path == "/readyz":
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE, b"partitions are being assigned or restored\n", PLAIN)
            else:
                self._answer(HTTPStatus.NOT_FOUND, b"try /metrics, /healthz or /readyz\n", PLAIN)

        def _answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
            with contextlib.suppress(ConnectionError):  # whoever asked has given up waiting
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            logger.debug(format, *args)

    try:
        server = ThreadingHTTPServer(("0.0.0.0", port), Door)
    except OSError as error:
        raise Refusal(
            f"metrics port {port}: {error.strerror} — set BELLWETHER_METRICS_PORT to a free port, or to 0 for none"
        ) from error
    server.daemon_threads = True
    Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server
