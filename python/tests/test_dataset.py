"""Reading datasets from a real server, over networks that fail."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import random
import threading
from typing import Any

import pytest

import hone
from hone.bundle import Torn, sample_digest
from hone.dataset import BATCH, read_manifest
from proxy import proxy
from servers import Server


def test_reads_every_sample(server: Server) -> None:
    data = hone.dataset("made@1", server=server.url)
    samples = list(data)
    assert len(data) == len(samples) == 1200 > 2 * BATCH
    assert [sample.row for sample in samples] == list(data.rows)
    assert data.weights() == [sample.importance_weight for sample in samples]
    # The weighted mean of 1 over the mixture is 1 over the target.
    assert sum(data.weights()) / len(data) == pytest.approx(1, abs=0.05)
    for sample in samples:
        assert sample_digest(sample.members) == sample.digest
        assert sample.members["image.png"].startswith(b"\x89PNG")
        assert (sample.round, sample.attempt, sample.split) == (1, 0, "train")
    assert len({(s.component, s.index) for s in samples}) == 1200
    assert (data.name, data.version, data.campaign, data.advisory) == ("made", 1, "made", "")


def test_scenarios_are_those_that_were_rendered(server: Server) -> None:
    for sample in list(hone.dataset("made@1", server=server.url))[::100]:
        assert sample.scenario["shape"] in ("disc", "ring", "square", "triangle", "cross", "bar")
        assert ("occluder_side" in sample.scenario) == (sample.scenario["occlusion"] != "none")
        assert json.loads(sample.members["label.json"])["class"] == sample.scenario["shape"]


def test_scenarios_survive_pickling(server: Server) -> None:
    sample = next(iter(hone.dataset("made@1", server=server.url)))
    assert pickle.loads(pickle.dumps(sample)).scenario == sample.scenario


def test_shuffle_and_shard_only_change_the_order(server: Server) -> None:
    data = hone.dataset("made.eval", server=server.url)  # the latest version
    assert data.version == 1
    shuffled = data.shuffle(3)
    assert [s.row for s in shuffled] == list(shuffled.rows)
    assert shuffled.rows == data.shuffle(3).rows != data.shuffle(4).rows
    assert sorted(map(str, shuffled.rows)) == sorted(map(str, data.rows))
    parts = [shuffled.shard(k, of=3) for k in range(3)]
    assert [len(p) for p in parts] == [34, 33, 33]
    assert sorted(str(s.row) for p in parts for s in p) == sorted(map(str, data.rows))
    for bad in (-1, 3):
        with pytest.raises(ValueError, match="shard"):
            data.shard(bad, of=3)


def test_goes_on_where_a_download_broke_off(server: Server) -> None:
    """The manifest comes whole at the third try, every batch in pieces."""
    rng = random.Random(0)

    def cut(number: int, answer: bytes) -> bytes:
        if number in (0, 3) or number > 15:
            return answer
        return answer[: rng.randrange(len(answer))]

    with proxy(server.port, cut) as network:
        data = hone.dataset("made@1", server=network.url)
        assert [s.digest for s in data] == [row.digest for row in hone.dataset("made@1", server=server.url).rows]
        assert network.count > 5


def test_patience_is_for_a_server_that_gets_no_further(server: Server) -> None:
    """More breaks than there is patience for, were it not that each try brings something."""
    data = hone.dataset("made@1", server=server.url)
    with proxy(server.port, lambda n, answer: answer[: len(answer) // 2 + 4096] if n < 12 else answer) as network:
        data._client = hone.Client(network.url, patience=0.2)
        assert len(list(data)) == 1200
        assert network.count > 12


def test_a_server_that_never_gets_further_is_unavailable(server: Server) -> None:
    data = hone.dataset("made@1", server=server.url)
    with proxy(server.port, lambda _, answer: answer[:2000]) as network:
        data._client = hone.Client(network.url, patience=0.5)
        with pytest.raises(hone.Unavailable, match="made@1"):
            list(data)


def test_bytes_that_were_changed_are_found(server: Server) -> None:
    data = hone.dataset("made@1", server=server.url)

    def change(_: int, answer: bytes) -> bytes:
        at = answer.index(b"\x89PNG") + 100
        return answer[:at] + bytes([answer[at] ^ 1]) + answer[at + 1 :]

    with proxy(server.port, change) as network:
        data._client = hone.Client(network.url)
        with pytest.raises(hone.HoneError, match="but the bytes that came are sha256:"):
            list(data)
    with (
        proxy(server.port, lambda n, a: a if n == 0 else a.replace(b'"attempt":0', b'"attempt":1', 1)) as network,
        pytest.raises(hone.HoneError, match="but the version says"),
    ):
        hone.dataset("made@1", server=network.url)


def test_no_thread_outlives_an_iteration(server: Server) -> None:
    data = hone.dataset("made@1", server=server.url)
    for _ in range(3):
        for sample in data:
            assert sample
            break
    for thread in threading.enumerate():
        if thread.name == "hone-dataset":
            thread.join(20)
            assert not thread.is_alive()


def test_many_threads_iterate_one_dataset(server: Server) -> None:
    data, found = hone.dataset("made.eval@1", server=server.url), []

    def read() -> None:
        found.append([s.digest for s in data])

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[row.digest for row in data.rows]] * 4


@pytest.mark.parametrize(
    ("name", "status", "says"),
    [("nope@1", 404, "nope"), ("made@9", 404, "made"), ("made@x", 0, "NAME@NUMBER"), ("nope", 404, "nope")],
)
def test_what_there_is_not(server: Server, name: str, status: int, says: str) -> None:
    with pytest.raises(hone.HoneError, match=says) as error:
        hone.dataset(name, server=server.url)
    assert error.value.status == status


HEADER = b'{"hone":"manifest/1","name":"a","rows":1}\n'
ROW: dict[str, Any] = {
    "round": 1,
    "component": 0,
    "index": 5,
    "attempt": 0,
    "digest": "sha256:00",
    "importance_weight": 0.5,
    "split": "train",
}


def test_manifest() -> None:
    text = HEADER + json.dumps(ROW).encode() + b"\n"
    digest, rows = read_manifest(io.BytesIO(text))
    assert digest == "sha256:" + hashlib.sha256(text).hexdigest()
    assert rows == (hone.Row(**ROW),)


@pytest.mark.parametrize(
    "text",
    [
        b"\n",
        b"[]\n",
        b"{}\n",
        b'{"hone":"manifest/2"}\n',
        HEADER + b"{}\n",
        HEADER + b"7\n",
        HEADER + b'{"x":1}\n',
        b"[" * 100_000 + b"\n",
    ],
)
def test_what_is_no_manifest(text: bytes) -> None:
    with pytest.raises(hone.HoneError, match="is not of a manifest"):
        read_manifest(io.BytesIO(text))


def test_every_cut_of_a_manifest_is_torn() -> None:
    text = HEADER + json.dumps(ROW).encode() + b"\n"
    for cut in range(len(text)):
        with pytest.raises(Torn):
            read_manifest(io.BytesIO(text[:cut]))
