"""examples/python, as typed: generator, gate and training job close a loop of three rounds."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

import gate
import generator
import hone
import picture
from servers import ROOT, Server

PYTHON = shlex.quote(sys.executable)


@pytest.fixture(scope="module")
def served(binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the example's gate, and a worker with its generator."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", str(ROOT / "python" / "src"))
        directory = tmp_path_factory.mktemp("examples")
        server = Server(binary, directory, "--gate-cmd", f"visible={PYTHON} examples/python/gate.py")
        try:
            server.start()
            server.hone("space", "put", "examples/python/space.yaml")
            server.hone("policy", "put", "examples/python/policy.yaml")
            server.work("--generator-cmd", f"parts={PYTHON} examples/python/generator.py")
            server.hone("campaign", "create", "examples/python/campaign.yaml")
            yield server
        finally:
            server.stop()


def training(server: Server) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "examples/python/train.py", "parts-first"],
        cwd=ROOT,
        env={**os.environ, "HONE_SERVER": server.url},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_the_loop_closes(served: Server) -> None:
    """The training job is killed after its first round, and started again."""
    first = training(served)
    assert first.stdout
    assert first.stdout.readline().startswith("round 1: 300 samples")
    first.send_signal(signal.SIGKILL)
    first.communicate()
    second = training(served)
    said, _ = second.communicate(timeout=120)
    assert second.returncode == 0
    lines = said.splitlines()
    assert [line.split(",")[0] for line in lines] == ["round 2: 600 samples", "round 3: 900 samples"]

    client = served.client
    state = client.campaign("parts-first")
    assert (state["state"], state["committed"], state["abandoned"]) == ("done", 900, 0)
    assert state["replaced"] > 0  # the gate sent lost frames back
    counts = client.sql(
        "select model_version as v, count(*) as n, count(distinct example) as d, avg(correct::int) as accuracy "
        "from parts.outcomes group by all order by all",
        at_least=client.status()["sequence"],
    )
    assert [(c["v"], c["n"], c["d"]) for c in counts] == [("1", 1000, 1000), ("2", 1000, 1000), ("3", 1000, 1000)]
    assert counts[2]["accuracy"] > 0.95
    assert all(client.sealed(f"parts-classifier@{n}") for n in (1, 2, 3))

    third = training(served)  # nothing is left to do
    assert third.communicate(timeout=60)[0] == ""


def test_the_programs_keep_to_the_protocol(served: Server) -> None:
    made = f"{PYTHON} examples/python/generator.py"
    space = ("--space", "examples/python/space.yaml")
    assert "FAIL" not in served.hone("generator", "check", *space, made)
    judged = served.hone("gate", "check", *space, "--generator-cmd", made, f"{PYTHON} examples/python/gate.py")
    assert "FAIL" not in judged
    assert "warn" not in judged


def test_equal_seeds_give_equal_bytes(served: Server) -> None:
    """What the worker delivered is what the function makes here."""
    first = served.client.wait_for_round("parts-first", 1, timeout=60)
    data = hone.dataset(first.dataset, server=served.url)
    seeds = {
        (row["component"], row["index"]): row["seed"]
        for row in served.client.sql(
            "select component, \"index\", seed from parts.samples where split = 'train' and round = 1",
            at_least=served.client.status()["sequence"],
        )
    }
    for sample in list(data)[::10]:
        draft = hone.Draft(
            index=sample.index,
            seed=int(seeds[sample.component, sample.index]),
            scenario=sample.scenario,
            levels=sample.levels,
            labels=sample.labels,
        )
        assert generator.make(draft)["image.png"] == sample.members["image.png"]
        assert sample.levels["distance"] in ("[0.9,1.1)", "[1.1,1.3)")


def test_a_lost_frame_is_sent_back_and_a_dark_one_is_not() -> None:
    def judge(*brightness: float) -> hone.Verdict:
        pixels = [brightness[i % len(brightness)] for i in range(picture.SIZE**2)]
        verdict = gate.visible(hone.Candidate(index=0, members={"image.png": picture.to_png(pixels)}))
        assert isinstance(verdict, hone.Verdict)
        return verdict

    assert judge(0.0, 0.1).accepted
    assert judge(1.0, 0.9).accepted
    assert not judge(0.2).accepted
    assert "nothing to be seen" in judge(0.2).reason


@pytest.mark.parametrize("content", [b"", b"IDAT", b"\0\0\0\x04IDATabcd", b"\x89PNG\0\0\xff\xffIDAT"])
def test_what_is_no_picture_is_sent_back(content: bytes) -> None:
    verdict = gate.visible(hone.Candidate(index=0, members={"image.png": content}))
    assert isinstance(verdict, hone.Verdict)
    assert (verdict.accepted, verdict.reason.partition(":")[0]) == (False, "no picture that can be read")


def test_pictures_survive_png() -> None:
    pixels = [i / 255 for i in range(picture.SIZE**2)]
    assert picture.from_png(picture.to_png(pixels)) == pixels
