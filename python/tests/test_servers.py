from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import hone
from hone import client as client_module
from hone.servers import DEFAULT_SERVER, MAX_LEARNT, Servers, redirected


class Cluster:
    """Some nodes, of which one may lead; the others name it."""

    def __init__(self, size: int) -> None:
        self.leader: int | None = None
        self.asked: list[list[str]] = [[] for _ in range(size)]
        self.received: list[bytes] = []
        self.silent = threading.Event()  # set: the leader of the beginning says nothing
        self.slow = 0.0  # seconds that the first node takes for a POST
        self.over = threading.Event()
        self._nodes = [self._node(number) for number in range(size)]
        self.urls = [f"http://127.0.0.1:{node.server_port}" for node in self._nodes]

    def _node(self, number: int) -> ThreadingHTTPServer:
        cluster = self

        class Node(BaseHTTPRequestHandler):
            def answer(self) -> None:
                cluster.asked[number].append(f"{self.command} {self.path}")
                status, location, body = 200, "", b'{"node": "n%d"}' % number
                if cluster.leader is None:
                    status, body = 503, b"there is no leader"
                elif cluster.leader != number:
                    status, location, body = 307, cluster.urls[cluster.leader] + self.path, b""
                else:
                    cluster.received.append(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
                    if number == 0 and cluster.silent.is_set():
                        cluster.over.wait()
                        return
                    if number == 0 and self.command == "POST":
                        time.sleep(cluster.slow)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                if location:
                    self.send_header("Location", location)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_POST = do_HEAD = answer  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Node)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return server

    def kill(self, number: int) -> None:
        self._nodes[number].shutdown()
        self._nodes[number].server_close()

    def close(self) -> None:
        self.over.set()
        for number in range(len(self._nodes)):
            self.kill(number)

    def client(self, *numbers: int, patience: float = 0.0) -> hone.Client:
        return hone.Client(",".join(self.urls[number] for number in numbers), patience=patience)

    def counts(self) -> list[int]:
        counted = [len(asked) for asked in self.asked]
        self.asked = [[] for _ in counted]
        return counted


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with closing(Cluster(3)) as nodes:
        yield nodes


def test_the_list() -> None:
    for given, want in (
        ("", (DEFAULT_SERVER,)),
        (" , ", (DEFAULT_SERVER,)),
        ("n1:7070", ("http://n1:7070",)),
        ("http://n1/hone/", ("http://n1/hone",)),
        ("n1, https://n2:1/,,n1", ("http://n1", "https://n2:1")),
        ("[::1]:7070", ("http://[::1]:7070",)),
    ):
        assert Servers(given).turn() == want
    for given in ("ftp://n1", "n1,http://", "http://u:p@n1", "http://n1?x=1", "n1:port", "n1:99999", "n1#x"):
        with pytest.raises(hone.HoneError, match="is not a server's URL"):
            hone.Client(given)


def test_the_turn() -> None:
    servers = Servers("a,b,c")
    steps: list[tuple[Callable[[str], None], str, str]] = [
        (servers.answered, "b", "bca"),
        (servers.failed, "a", "bca"),
        (servers.failed, "b", "cab"),
        (servers.answered, "x", "xcab"),
        (servers.answered, "a", "abxc"),
        (servers.failed, "x", "abc"),
        (servers.failed, "x", "abc"),
    ]
    for step, server, want in steps:
        step(f"http://{server}")
        assert "".join(url.removeprefix("http://") for url in servers.turn()) == want
    for number in range(3 * MAX_LEARNT):
        servers.answered(f"http://x{number}")
    assert len(servers.turn()) == 3 + MAX_LEARNT
    assert servers.turn()[0] == f"http://x{3 * MAX_LEARNT - 1}"
    assert pickle.loads(pickle.dumps(hone.Client("a,b"))).server == "http://a,http://b"


def test_where_a_redirect_leads() -> None:
    assert redirected("http://n1/base", "/v1/x?y=1", "http://n2:1/v1/x?y=1") == "http://n2:1"
    assert redirected("http://n1", "/v1/x", "//n2/hone/v1/x") == "http://n2/hone"
    for location, why in (
        ("https://n2/v1/x", "another scheme"),
        ("ws://n2/v1/x", "another scheme"),
        ("http://n2/v1/y", "another request"),
        ("http://n2/v1/x?y=1", "another request"),
        ("http://u:p@n2/v1/x", "no URL"),
        ("http://n2:99999/v1/x", "no URL"),
        ("", "no URL"),
    ):
        with pytest.raises(hone.Unavailable, match=why):
            redirected("http://n1", "/v1/x", location)


@pytest.mark.parametrize("given", [(0,), (0, 1, 2)])
def test_the_leader_is_followed_and_remembered(cluster: Cluster, given: tuple[int, ...]) -> None:
    cluster.leader = 2
    client = cluster.client(*given)
    for _ in range(3):
        assert client.post("/v1/sql", {"query": "q"})["node"] == "n2"
    assert cluster.counts() == [1, 0, 3]
    assert cluster.received == [b'{"query": "q"}'] * 3
    cluster.leader = None
    with pytest.raises(hone.Unavailable, match="there is no leader") as error:
        client.status()
    assert all(url in str(error.value) for url in cluster.urls if given == (0, 1, 2))
    client.patience = 10.0
    elected = threading.Timer(0.3, lambda: setattr(cluster, "leader", 1))
    elected.start()
    assert client.status() == {"node": "n1"}
    cluster.counts()
    client.status()
    assert cluster.counts() == [0, 1, 0]


def test_a_dead_leader(cluster: Cluster) -> None:
    cluster.leader = 0
    client = cluster.client(0, 1, 2)
    client.status()
    cluster.kill(0)
    with pytest.raises(hone.Unavailable) as error:
        client.status()
    for url, why in zip(cluster.urls, ("refused", f"names {cluster.urls[0]}", f"names {cluster.urls[0]}")):
        assert f"{url}: " in str(error.value)
        assert why in str(error.value)
    cluster.leader = 1
    assert client.status() == {"node": "n1"}
    cluster.kill(1)
    cluster.kill(2)
    with pytest.raises(hone.Unavailable, match="hone serve starts one"):
        client.status()


def test_a_silent_leader(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "SILENCE", 0.1)
    monkeypatch.setattr(client_module, "LOOKS", 0.1)
    cluster.leader = 0
    cluster.silent.set()
    client = cluster.client(0, 1, 2)
    deposed = threading.Timer(1.0, lambda: setattr(cluster, "leader", 2))
    deposed.start()
    began = time.monotonic()
    assert client.post("/v1/sql", {"query": "q"}) == {"node": "n2"}
    assert time.monotonic() - began >= 1.0  # as long as it leads it is waited for
    assert [asked for asked in cluster.asked[0] if asked != "HEAD /v1/status"] == ["POST /v1/sql"]


def test_a_busy_leader_of_two_names(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "SILENCE", 0.1)
    monkeypatch.setattr(client_module, "LOOKS", 0.1)
    cluster.leader, cluster.slow = 0, 1.0
    client = hone.Client(f"{cluster.urls[0].replace('127.0.0.1', 'localhost')},{cluster.urls[1]}")
    assert client.post("/v1/sql", {"query": "q"}) == {"node": "n0"}
    assert [asked for asked in cluster.asked[0] if asked != "HEAD /v1/status"] == ["POST /v1/sql"]
    assert len(cluster.asked[0]) > 1


def test_redirects_end(cluster: Cluster) -> None:
    cluster.leader = 1
    cluster.urls[1] = cluster.urls[0]  # it is said to be node 0, which says the same
    with pytest.raises(hone.Unavailable, match="names"):
        cluster.client(0).status()
    assert cluster.counts() == [1, 0, 0]


def test_a_large_body_goes_to_the_leader_alone(cluster: Cluster) -> None:
    cluster.leader = 1
    client = cluster.client(0)
    for _ in range(2):
        client.post("/v1/sql", {"query": "q" * 5_000_000})
    assert cluster.asked[0] == ["HEAD /v1/status"]
    assert [asked for asked in cluster.asked[1] if asked != "HEAD /v1/status"] == ["POST /v1/sql"] * 2
    assert sum(len(body) > 5_000_000 for body in cluster.received) == 2


def test_outcomes_count_over_an_election(cluster: Cluster) -> None:
    with hone.Run(space="s", model="m@1", batch=10, client=cluster.client(0, 1, 2)) as run:
        run.log([{"example": str(n), "scenario": {}, "correct": True} for n in range(95)])
        cluster.leader = 2
        run.flush(10)
        cluster.leader = 0
        run.log({"example": "last", "scenario": {}, "correct": True})
    assert run.posted == 96
    assert sum(body.count(b"\n") for body in cluster.received) == 96
