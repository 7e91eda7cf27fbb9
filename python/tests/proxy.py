"""A network that fails in stated ways, in front of a real server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Answer = Callable[[int, bytes], bytes]


@dataclass
class Proxy:
    """Passes on requests, and of the answer to the n-th (from 0) what ``answer(n, bytes)`` leaves of it."""

    port: int
    answer: Answer
    count: int = 0
    url: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self.port)) as server:
            request = b""
            while b"\r\n\r\n" not in request:
                request += client.recv(1 << 16)
            head, _, body = request.partition(b"\r\n\r\n")
            length = next(
                (int(h.split(b":")[1]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length")), 0
            )
            while len(body) < length:
                body += client.recv(1 << 16)
            server.sendall(head + b"\r\n\r\n" + body)
            answer = b""
            while chunk := server.recv(1 << 16):
                answer += chunk
            with self._lock:
                number, self.count = self.count, self.count + 1
            client.sendall(self.answer(number, answer))


@contextmanager
def proxy(port: int, answer: Answer) -> Iterator[Proxy]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        passing = Proxy(port, answer, url=f"http://127.0.0.1:{listener.getsockname()[1]}")
        threading.Thread(target=passing.serve, args=(listener,), daemon=True).start()
        yield passing
