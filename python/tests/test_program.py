"""Programs, spoken to over pipes as Hone speaks to them."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import hone

SOURCE = str(Path(hone.__file__).parents[1])

DESCRIBE = {"type": "describe", "protocol": 1}


class Program:
    """A program as a child process."""

    def __init__(self, script: Path, *, buffered: bool = True) -> None:
        environment = {**os.environ, "PYTHONPATH": SOURCE}
        environment.pop("PYTHONUNBUFFERED", None)
        self.errors = script.with_suffix(".log")
        self.process = subprocess.Popen(
            [sys.executable, *([] if buffered else ["-u"]), str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors.open("wb"),
            env=environment,
        )

    def ask(self, question: Any) -> None:
        assert self.process.stdin
        line = question if isinstance(question, bytes) else json.dumps(question).encode()
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def end(self) -> tuple[int, bytes, str]:
        """Ends its input; its exit status, what else it answered, and what it logged."""
        rest, _ = self.process.communicate(timeout=20)
        return self.process.returncode, rest, self.errors.read_text()


Start = Callable[..., Program]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    programs = []

    def run(text: str, **options: bool) -> Program:
        script = tmp_path / "program.py"
        script.write_text("import hone, os, subprocess, sys\n" + textwrap.dedent(text))
        programs.append(Program(script, **options))
        return programs[-1]

    yield run
    for program in programs:
        program.process.kill()
        program.process.wait()


@pytest.fixture
def unit(tmp_path: Path) -> dict[str, Any]:
    directory = tmp_path / "unit"
    directory.mkdir()
    samples = [
        {"index": 100, "seed": "18446744073709551615", "scenario": {"light": "low", "distance": 2.137},
         "levels": {"distance": "[0,5)"}, "labels": {"visible": "no"}},
        {"index": 101, "seed": "4410288331230711022", "scenario": {"light": "Tag ☀"}},
    ]  # fmt: skip
    return {"type": "unit", "id": "1-0.0-0-100-2", "dir": str(directory), "campaign": "parts-first", "samples": samples}


GENERATOR = """
@hone.generator(version="2.1", outputs=["image.bin", "label.json", "note.txt"], deterministic=True)
def make(draft):
    noise()
    return {
        "image.bin": draft.rng.randbytes(4) + draft.seed.to_bytes(8, "big"),
        "label.json": {"index": draft.index, "light": draft.scenario["light"], "levels": draft.levels,
                       "labels": draft.labels, "campaign": draft.campaign},
        "note.txt": draft.scenario["light"],
    }
def noise():
    print("printed")
    os.system("echo shouted; cat")
    os.write(1, b"written")
    sys.__stdout__.write("dunder"); sys.__stdout__.flush()
    assert sys.stdin.read() == ""
hone.serve(make)
"""


def test_generator(start: Start, unit: dict[str, Any]) -> None:
    program = start("print('loaded')" + GENERATOR)
    program.ask(DESCRIBE)
    assert program.answer() == {
        "type": "description", "protocol": 1, "version": "2.1",
        "outputs": ["image.bin", "label.json", "note.txt"], "deterministic": True,
    }  # fmt: skip
    program.ask(unit)
    directory = Path(unit["dir"])
    for asked in unit["samples"]:
        answer = program.answer()
        assert (answer["type"], answer["index"]) == ("sample", asked["index"])
        contents = {name: (directory / path).read_bytes() for name, path in answer["files"].items()}
        assert sorted(contents) == ["image.bin", "label.json", "note.txt"]
        seed = int(asked["seed"])
        assert contents["image.bin"] == random.Random(seed).randbytes(4) + seed.to_bytes(8, "big")
        assert contents["note.txt"].decode() == asked["scenario"]["light"]
        label = json.loads(contents["label.json"])
        assert label["labels"] == asked.get("labels", {})
        assert (label["index"], label["campaign"]) == (asked["index"], "parts-first")
    assert program.answer() == {"type": "done", "samples": 2}
    status, rest, log = program.end()
    assert (status, rest) == (0, b"")
    for noise in ("loaded", "printed", "shouted", "written", "dunder"):
        assert noise in log


def test_what_is_printed_while_loading_is_no_answer(start: Start) -> None:
    program = start("print('loaded')\n" + textwrap.dedent(failing("pass")))
    program.ask(DESCRIBE)
    assert program.answer()["type"] == "description"
    status, rest, log = program.end()
    assert (status, rest, log) == (0, b"", "loaded\n")


def failing(line: str) -> str:
    return f"""
    @hone.generator(version="1", outputs=["a.json"])
    def make(draft):
        if draft.index == 100: {line}
        return {{"a.json": 1}}
    hone.serve(make)
    """


@pytest.mark.parametrize("value", ["'out/7.png'", "[0.5, 0.5]"])
def test_a_picture_is_bytes(start: Start, unit: dict[str, Any], value: str) -> None:
    program = start(failing("pass").replace("a.json", "a.png").replace(": 1}", f": {value}}}"))
    program.ask(unit)
    error = program.answer()["error"]
    assert "a.png is a " in error
    assert "give its bytes" in error


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("raise ValueError('no lamp')", "sample 100: ValueError: no lamp (program.py, line 5)"),
        ("int('x')", "sample 100: ValueError: invalid literal for int() with base 10: 'x' (program.py, line 5)"),
        ("raise KeyError", "sample 100: KeyError"),
        ("return None", "sample 100: TypeError: the generator returned None; return a dict of ['a.json']"),
        ("return {}", "sample 100: ValueError: the sample has no a.json, which is one of outputs=['a.json']"),
        ("return {'a.json': 1, 'b': 2}", "sample 100: ValueError: the sample has 'b', which is not one of"),
        ("return {'a.json': {1}}", "sample 100: TypeError: a.json is a set, which is neither bytes nor text nor JSON"),
        ("return {'a.json': float('nan')}", "sample 100: TypeError: a.json is a float"),
        ("return {'a.json': chr(0xd800)}", "sample 100: UnicodeEncodeError"),
        ("raise SystemExit(3)", None),
        ("os._exit(3)", None),
    ],
)
def test_an_exception_fails_the_unit(start: Start, unit: dict[str, Any], line: str, says: str | None) -> None:
    program = start(failing(line))
    program.ask(DESCRIBE)
    assert "deterministic" not in program.answer()
    program.ask(unit)
    if says is None:  # it wants to end, so it does
        assert program.end()[:2] == (3, b"")
        return
    answer = program.answer()
    assert answer["type"] == "failed"
    assert answer["error"].startswith(says)
    program.ask({**unit, "samples": unit["samples"][1:]})
    assert program.answer()["index"] == 101
    assert program.answer() == {"type": "done", "samples": 1}
    status, _, log = program.end()
    assert status == 0
    assert "Traceback" in log


@pytest.mark.parametrize(
    ("question", "says"),
    [
        (b"garbage", "JSONDecodeError"),
        (b"\xff\xfe", "UnicodeDecodeError"),
        (b"[" * 100_000, "RecursionError"),
        (b"7", "None is not a question that a generator can answer"),
        ({"type": "judge", "id": "1", "dir": "/", "samples": []}, "'judge' is not a question"),
        ({"type": "describe", "protocol": 2}, "protocol 2 was asked for; this package speaks 1"),
        ({"type": "unit"}, "KeyError: 'dir'"),
        ({"type": "unit", "dir": "/nowhere", "samples": [{"index": 1, "seed": "1"}]}, "FileNotFoundError"),
        ({"type": "unit", "dir": "/nowhere", "samples": [{"index": 1, "seed": "x"}]}, "ValueError"),
    ],
)
def test_a_question_that_is_none_is_answered_failed(start: Start, question: Any, says: str) -> None:
    program = start("hone.serve(hone.generator(version='1', outputs=['a'])(lambda draft: {'a': b''}))")
    program.ask(question)
    answer = program.answer()
    assert answer["type"] == "failed"
    assert says in answer["error"]
    program.ask(DESCRIBE)
    assert program.answer()["type"] == "description"
    assert program.end()[:2] == (0, b"")


def test_an_empty_unit_and_an_empty_line_of_input(start: Start, unit: dict[str, Any]) -> None:
    program = start(failing("pass"))
    program.ask({**unit, "samples": []})
    assert program.answer() == {"type": "done", "samples": 0}
    assert program.end()[:2] == (0, b"")


def test_nobody_listens_any_more(start: Start, unit: dict[str, Any]) -> None:
    program = start(failing("pass"), buffered=False)
    assert program.process.stdout
    program.process.stdout.close()
    program.ask({**unit, "samples": unit["samples"] * 5000})
    assert program.process.wait(20) == 0


GATE = """
@hone.gate(version="1.0", scores=["size"])
def judge(candidate):
    print("judging", candidate.scenario)
    answer = candidate.members["answer.json"].decode()
    assert "answer.json" in candidate.members and list(candidate.members) == ["answer.json"]
    return eval(answer)
hone.serve(judge)
"""


@pytest.mark.parametrize(
    ("returns", "verdict"),
    [
        ("True", {"accepted": True}),
        ("False", {"accepted": False, "reason": "sent back by judge"}),
        ("'blurred'", {"accepted": False, "reason": "blurred"}),
        ("hone.Verdict(True, scores={'size': 3})", {"accepted": True, "scores": {"size": 3.0}}),
        (
            "hone.Verdict(False, 'small', {'size': 0.5})",
            {"accepted": False, "reason": "small", "scores": {"size": 0.5}},
        ),
        ("None", "sample 7: TypeError: the gate returned None; return True, a reason, or a hone.Verdict"),
        ("1", "sample 7: TypeError: the gate returned a int"),
        ("hone.Verdict(True, scores={'other': 1})", "sample 7: ValueError: the score 'other' is not declared"),
        ("hone.Verdict(True, scores={'size': float('inf')})", "sample 7: ValueError: the score size is inf"),
        ("candidate.members['mask.png']", "sample 7: KeyError: 'mask.png'"),
    ],
)
def test_gate(start: Start, tmp_path: Path, returns: str, verdict: dict[str, Any] | str) -> None:
    (tmp_path / "7.answer.json").write_text(returns)
    program = start(GATE)
    program.ask(DESCRIBE)
    assert program.answer() == {"type": "description", "protocol": 1, "version": "1.0", "scores": ["size"]}
    sample = {"index": 7, "scenario": {"light": "low"}, "files": {"answer.json": "7.answer.json"}}
    program.ask({"type": "judge", "id": "7", "dir": str(tmp_path), "samples": [sample]})
    answer = program.answer()
    if isinstance(verdict, str):
        assert answer["type"] == "failed"
        assert answer["error"].startswith(verdict)
    else:
        assert answer == {"type": "verdict", "index": 7, **verdict}
        assert program.answer() == {"type": "done", "samples": 1}
    status, rest, _ = program.end()
    assert (status, rest) == (0, b"")


def test_decorated_functions_stay_functions() -> None:
    @hone.generator(version="1", outputs=["a"])
    def make(draft: hone.Draft) -> dict[str, bytes]:
        """What it makes."""
        return {"a": draft.rng.randbytes(2)}

    assert make(hone.Draft(index=0, seed=1)) == make(hone.Draft(index=9, seed=1)) != make(hone.Draft(index=0, seed=2))
    assert (make.__name__, make.__doc__) == ("make", "What it makes.")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "outputs", [[], ["a", "a"], ["A.png"], ["a..b"], ["../a"], ["a" * 33], [f"m{i}" for i in range(65)]]
)
def test_outputs_that_cannot_be(outputs: list[str]) -> None:
    with pytest.raises(ValueError, match=r"outputs|file's name"):
        hone.generator(version="1", outputs=outputs)


def test_arguments() -> None:
    with pytest.raises(ValueError, match="version"):
        hone.gate(version="")
    with pytest.raises(TypeError, match=r"hone\.serve takes a function decorated by"):
        hone.serve(len)  # type: ignore[arg-type]
