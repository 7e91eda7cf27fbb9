"""Posting outcomes: exactly once, and never in the way."""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import hone
from hone.run import _encode
from proxy import proxy
from servers import Server


def row(number: int, **more: Any) -> dict[str, Any]:
    return {"example": f"e{number}", "scenario": {"light": "low"}, "correct": number % 3 > 0, **more}


def counted(server: Server, model: str) -> list[int]:
    """Rows that count, and distinct examples among them, of a model version."""
    line, _, version = model.partition("@")
    found = server.client.sql(
        "select count(*) as n, count(distinct example) as d from shapes.outcomes "
        f"where model_line = '{line}' and model_version = '{version}'",
        at_least=server.client.status()["sequence"],
    )
    return [found[0]["n"], found[0]["d"]]


def test_leaving_the_block_seals(server: Server) -> None:
    with hone.Run(server.url, space="shapes", model="plain@1", eval_set="field@3", batch=7) as run:
        run.log(row(i) for i in range(50))
        run.log(row(50, loss=0.25, group="clip", origin="real", uri="s3://field/4/e50.png"), eval_set="field@4")
    assert (run.rows, run.posted, run.dropped, run.refused) == (51, 51, 0, 0)
    assert server.client.sealed("plain@1")
    assert counted(server, "plain@1") == [51, 51]
    sets = server.client.sql(
        "select eval_set, count(*) as n from shapes.outcomes where model_line = 'plain' group by all order by all"
    )
    assert sets == [{"eval_set": "field@3", "n": 50}, {"eval_set": "field@4", "n": 1}]
    opened = server.client.sql("select example, uri from shapes.outcomes where model_line = 'plain' and uri <> ''")
    assert opened == [{"example": "e50", "uri": "s3://field/4/e50.png"}]


def test_metrics_of_a_task(server: Server) -> None:
    """A metric with a threshold says what is correct; one that was not measured is NaN, and says nothing."""
    space = server.directory / "posed.yaml"
    space.write_text(
        "name: posed\n"
        "factors: [{name: light, levels: [low, day]}]\n"
        "tasks: [{name: pose, metrics: [{name: error, better: lower, fail: 5}, {name: iou, better: higher}]}]\n"
    )
    server.hone("space", "put", str(space))
    with hone.Run(server.url, space="posed", model="poser@1", task="pose") as run:
        for number, error in enumerate((1.5, 4.9, 5.1, 80.0)):
            run.log(
                {
                    "example": f"e{number}",
                    "scenario": {"light": "low" if number % 2 else None},
                    "error": error,
                    "iou": math.nan if number else 0.5,
                }
            )
    found = server.client.sql(
        "select error, iou, correct from posed.outcomes order by error", at_least=server.client.status()["sequence"]
    )
    assert [list(outcome.values()) for outcome in found] == [
        [1.5, 0.5, True],
        [4.9, None, True],
        [5.1, None, False],
        [80.0, None, False],
    ]


def test_a_block_that_fails_posts_and_does_not_seal(server: Server) -> None:
    run = hone.Run(server.url, space="shapes", model="fails@1")
    with pytest.raises(ZeroDivisionError), run:
        run.log(row(1 // number) for number in (1, 0))
    assert run.posted == 1
    assert not server.client.sealed("fails@1")


def test_samples_are_named_by_themselves(server: Server) -> None:
    samples = list(hone.dataset("made.eval@1", server=server.url))
    with hone.Run(server.url, space="shapes", model="sampled@1", eval_set="made.eval@1") as run:
        run.log({"sample": sample, "correct": True} for sample in samples)
    assert counted(server, "sampled@1") == [100, 100]
    names = server.client.sql("select example from shapes.outcomes where model_line = 'sampled'")
    assert {name["example"] for name in names} == {sample.example for sample in samples}


def test_a_job_that_starts_again_counts_once(server: Server) -> None:
    again: dict[str, Any] = {
        "server": server.url,
        "space": "shapes",
        "model": "again@1",
        "run": "job-5512",
        "batch": 100,
    }
    first = hone.Run(**again)
    first.log(row(i) for i in range(450))
    first.flush()
    first.close()
    with hone.Run(**again) as second:
        second.log(row(i) for i in range(450))  # as the first; whose fifth batch had been cut short by flush ...
        second.flush()  # ... as this one is
        second.log(row(i) for i in range(450, 1000))
    assert counted(server, "again@1") == [1000, 1000]
    with hone.Run(**again) as third:  # sealed already: the same rows are no news
        third.log(row(i) for i in range(450))
        third.flush()
        third.log(row(i) for i in range(450, 1000))
    assert counted(server, "again@1") == [1000, 1000]


def test_two_runs_one_seal(server: Server) -> None:
    one = hone.Run(server.url, space="shapes", model="two@1", run="rank-0")
    two = hone.Run(server.url, space="shapes", model="two@1", run="rank-1")
    one.log(row(i) for i in range(10))
    two.log(row(i) for i in range(10, 15))
    one.close()
    with pytest.raises(hone.HoneError, match="15") as wrong:
        two.seal()
    assert wrong.value.status == 409
    two.seal(rows=one.rows + two.rows)
    assert server.client.sealed("two@1")


def test_refused_rows_surface_at_the_end(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    run = hone.Run(server.url, space="shapes", model="refused@1", batch=3)
    run.log(row(i) for i in range(3))
    run.log([row(3), row(4, scenario={"light": "lo"}), row(5)])
    run.log(row(i) for i in range(6, 9))
    with pytest.raises(hone.HoneError) as refusal:
        run.seal()
    assert (run.posted, run.refused) == (6, 3)
    assert refusal.value.status == 422
    assert refusal.value.field == "row 5 of the run, column light"
    assert '"lo" is not a level' in refusal.value.problem
    assert '"example":"e4"' in refusal.value.problem
    assert refusal.value.remedy == 'did you mean "low"?'
    warnings = [r.getMessage() for r in caplog.records if r.name == "hone"]
    assert len(warnings) == 1
    assert "row 5 of the run" in warnings[0]
    assert not server.client.sealed("refused@1")
    with pytest.raises(hone.HoneError):  # and again, for whoever did not listen
        run.seal()


@pytest.mark.parametrize("bad", ["text", 7, {"example": object()}, {"example": {1, 2}}, {"example": "\ud800"}])
def test_what_is_no_row_does_not_break_the_training(server: Server, bad: Any, caplog: pytest.LogCaptureFixture) -> None:
    run = hone.Run(server.url, space="shapes", model="garbage@1")
    run.log([bad])
    with pytest.raises(hone.HoneError, match="row 1 of the run"):
        run.close()
    assert run.refused == 1
    assert "row 1 of the run" in caplog.text


def test_an_unknown_space_and_a_sealed_version_are_refused(server: Server) -> None:
    for space, model, status in (("nowhere", "x@1", 404), ("shapes", "closed@1", 409)):
        if status == 409:
            hone.Run(server.url, space=space, model=model).seal(0)
        run = hone.Run(server.url, space=space, model=model)
        run.log(row(0))
        with pytest.raises(hone.HoneError) as refusal:
            run.close()
        assert refusal.value.status == status


def test_a_server_that_is_away_costs_bounded_time_and_memory(caplog: pytest.LogCaptureFixture) -> None:
    run = hone.Run("http://127.0.0.1:9", space="shapes", model="away@1", batch=10, queue=50, block=0.2)
    began = time.monotonic()
    run.log(row(i) for i in range(1000))
    assert time.monotonic() - began < 2  # waited once, not 95 times
    assert run.dropped == 950
    warnings = [r.getMessage() for r in caplog.records if r.name == "hone"]
    assert len(warnings) == 1
    assert "dropped" in warnings[0]
    with pytest.raises(hone.Unavailable, match="no server answers"):
        run.close(timeout=0.2)
    with pytest.raises(hone.HoneError, match="1000 of 1000 rows"):
        run.seal()
    run.log(row(0))  # after the end: no exception either
    assert run.dropped == 951


def test_dropped_rows_can_be_made_good(new_server: Callable[[], Server]) -> None:
    server = new_server()
    server.kill()
    named: dict[str, Any] = {"server": server.url, "space": "shapes", "model": "good@1", "run": "night", "batch": 10}
    run = hone.Run(**named, queue=30, block=0.0)
    run.log(row(i) for i in range(100))
    assert run.dropped == 70
    server.start()
    run.flush()
    run.log(row(i) for i in range(100, 120))  # there is room again
    with pytest.raises(hone.HoneError, match="run='night'"):
        run.seal()
    assert run.posted == 50
    with hone.Run(**named) as run:
        run.log(row(i) for i in range(120))
    assert counted(server, "good@1") == [120, 120]


def test_kill_9_while_logging(new_server: Callable[[], Server]) -> None:
    """Four threads log while the server is killed three times: every row counts, once."""
    server, total = new_server(), 8_000
    run = hone.Run(server.url, space="shapes", model="killed@1", batch=40)

    def log(thread: int) -> None:
        for i in range(thread, total, 4):
            run.log(row(i, loss=i / total))

    def posted(rows: int) -> bool:
        return run.posted >= rows

    threads = [threading.Thread(target=log, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for n in range(1, 4):
        with run._changed:
            assert run._changed.wait_for(partial(posted, n * total // 5), timeout=60)
        server.kill()
        server.start()
    for thread in threads:
        thread.join()
    run.seal()
    assert (run.posted, run.dropped) == (total, 0)
    assert counted(server, "killed@1") == [total, total]


def test_answers_that_get_lost(server: Server) -> None:
    """Every other answer is lost after the server has counted the rows."""
    with proxy(server.port, lambda n, answer: b"" if n % 2 == 0 else answer) as network:
        with hone.Run(network.url, space="shapes", model="lossy@1", batch=50) as run:
            run.log(row(i) for i in range(500))
        assert network.count >= 22
    assert counted(server, "lossy@1") == [500, 500]


def test_a_forked_child_drops_and_does_not_hang(server: Server) -> None:
    run = hone.Run(server.url, space="shapes", model="forked@1", batch=2)
    run.log(row(i) for i in range(5))

    def child() -> None:
        run.log([row(6), row(7)])
        run.seal()
        os._exit(run.dropped)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(20)
    assert process.exitcode == 2
    run.seal()
    assert counted(server, "forked@1") == [5, 5]


def test_a_run_that_nobody_closed_is_posted_at_exit(server: Server) -> None:
    program = (
        "import hone\n"
        f"run = hone.Run({server.url!r}, space='shapes', model='left@1')\n"
        "run.log({'example': str(i), 'correct': True} for i in range(5))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(Path(hone.__file__).parents[1])},
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert b"neither sealed nor closed" in ran.stderr
    assert counted(server, "left@1") == [5, 5]
    assert not server.client.sealed("left@1")


class Scalar:
    """Looks as numpy's and torch's scalars do."""

    ndim = 0

    def __init__(self, value: object) -> None:
        self.value = value

    def item(self) -> object:
        return self.value


def test_scalars_of_numpy_are_numbers() -> None:
    assert _encode({"correct": Scalar(True), "loss": Scalar(0.5)}) == b'{"correct":true,"loss":0.5}'
    assert _encode({"loss": Scalar(math.nan), "x": math.inf, "s": {"a": [math.nan, 1]}}) == (
        b'{"loss":null,"x":null,"s":{"a":[null,1]}}'
    )


def test_numpy_itself() -> None:
    np = pytest.importorskip("numpy")
    assert _encode({"correct": np.bool_(True), "loss": np.float32(0.5), "n": np.int64(3), "t": np.str_("a")}) == (
        b'{"correct":true,"loss":0.5,"n":3,"t":"a"}'
    )
    assert _encode({"loss": np.float64("nan"), "m": np.float32("nan")}) == b'{"loss":null,"m":null}'


def test_arguments() -> None:
    for model in ("detector", "detector@", "@1"):
        with pytest.raises(hone.HoneError, match="LINE@VERSION"):
            hone.Run(space="shapes", model=model)
    with pytest.raises(ValueError, match="room"):
        hone.Run(space="shapes", model="a@1", batch=10, queue=5)
    with pytest.raises(hone.HoneError, match="URL"):
        hone.Run("ftp://x", space="shapes", model="a@1")


def test_rows_are_taken_as_they_are_when_logged(server: Server) -> None:
    with hone.Run(server.url, space="shapes", model="moving@1") as run:
        mutable = row(0)
        for i in range(10):
            mutable["example"] = f"e{i}"
            run.log(mutable)
    assert counted(server, "moving@1") == [10, 10]


def test_many_refusals_are_not_many_warnings(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    run = hone.Run(server.url, space="shapes", model="strict@1", batch=1)
    for i in random.Random(0).sample(range(100), 20):
        run.log(row(i, correct="yes"))
    with pytest.raises(hone.HoneError, match="20 of 20 rows"):
        run.close()
    assert len([r for r in caplog.records if r.name == "hone"]) == 4  # three refusals, and that no more are shown
