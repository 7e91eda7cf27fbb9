"""Generators and gates: functions that become programs, over JSON lines on the standard streams."""

from __future__ import annotations

import functools
import inspect
import json
import math
import os
import random
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from .bundle import MAX_MEMBERS, MEMBER_NAME
from .errors import HoneError

__all__ = ["Candidate", "Draft", "Gate", "Generator", "Verdict", "gate", "generator", "serve"]

PROTOCOL = 1

BINARY = {"png", "jpg", "jpeg", "webp", "exr", "tif", "tiff", "npy", "npz", "wav", "mp4"}
"""Last parts of names whose files are never text: what is no bytes there is a slip, such as a path."""


@dataclass(frozen=True)
class Draft:
    """A sample that is to be made: what a generator's function is given.

    Make one yourself to call the function in a test:

    >>> draft = hone.Draft(index=0, seed=7, scenario={"light": "low", "distance": 2.1})
    >>> draft.scenario["light"], draft.rng.random() == hone.Draft(index=1, seed=7).rng.random()
    ('low', True)
    """

    index: int
    """The sample's place in its component; seeds differ where it does."""
    seed: int
    """Everything random in the sample comes from this 64-bit number, and from nothing else."""
    scenario: Mapping[str, Any] = field(default_factory=dict)
    """One value per factor: a level's name, or a number. A conditional factor that is absent is left out."""
    levels: Mapping[str, str] = field(default_factory=dict)
    """The bin of each numeric factor, by the factor's name."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """The space's derived labels."""
    campaign: str = ""
    """Whose sample it is."""

    @functools.cached_property
    def rng(self) -> random.Random:
        """A generator of random numbers that was seeded with ``seed``."""
        return random.Random(self.seed)


@dataclass(frozen=True)
class Candidate:
    """A sample that is to be judged: what a gate's function is given.

    >>> hone.Candidate(index=0, members={"label.json": b"3"}).members["label.json"]
    b'3'
    """

    index: int
    scenario: Mapping[str, Any] = field(default_factory=dict)
    """One value per factor: a level's name, or a number. A conditional factor that is absent is left out."""
    levels: Mapping[str, str] = field(default_factory=dict)
    """The bin of each numeric factor, by the factor's name."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """The space's derived labels."""
    members: Mapping[str, bytes] = field(default_factory=dict)
    """The sample's files by name; each is read when it is asked for."""


@dataclass(frozen=True)
class Verdict:
    """A gate's answer with scores, which are kept either way.

    >>> hone.Verdict(False, "blurred: sharpness 0.03, at least 0.1 is needed", {"sharpness": 0.03}).accepted
    False
    """

    accepted: bool
    reason: str = ""
    """Why the sample is sent back: a phrase for a person."""
    scores: Mapping[str, float] = field(default_factory=dict)


class _Program:
    """A function of one sample, and what the protocol wants to know of it."""

    def __init__(self, fn: Callable[[Any], Any], description: dict[str, Any]) -> None:
        self._fn = fn
        self.description = {"type": "description", "protocol": PROTOCOL, **description}
        """What the program answers to ``describe``."""
        functools.update_wrapper(cast("Callable[[Any], Any]", self), fn)

    def _unit(self, unit: dict[str, Any], say: Callable[[dict[str, Any]], None]) -> None:
        raise NotImplementedError

    # What Hone asks with.
    asked = ""


class Generator(_Program):
    """A function that makes samples; see :func:`generator`. Call it as the plain function that it is."""

    asked = "unit"

    def __call__(self, draft: Draft) -> Mapping[str, Any]:
        sample: Mapping[str, Any] = self._fn(draft)
        return sample

    def _unit(self, unit: dict[str, Any], say: Callable[[dict[str, Any]], None]) -> None:
        directory, outputs = Path(unit["dir"]), self.description["outputs"]
        for asked in unit["samples"]:
            draft = Draft(
                index=asked["index"],
                seed=int(asked["seed"]),
                scenario=asked.get("scenario") or {},
                levels=asked.get("levels") or {},
                labels=asked.get("labels") or {},
                campaign=unit.get("campaign", ""),
            )
            with _blaming(f"sample {draft.index}", self._fn):
                contents = {name: _bytes(name, value) for name, value in _outputs(self(draft), outputs).items()}
            files = {}
            for name, content in contents.items():
                files[name] = f"{draft.index}.{name}"
                (directory / files[name]).write_bytes(content)
            say({"type": "sample", "index": draft.index, "files": files})


class Gate(_Program):
    """A function that judges samples; see :func:`gate`. Call it as the plain function that it is."""

    asked = "judge"

    def __call__(self, candidate: Candidate) -> bool | str | Verdict:
        verdict: bool | str | Verdict = self._fn(candidate)
        return verdict

    def _unit(self, unit: dict[str, Any], say: Callable[[dict[str, Any]], None]) -> None:
        for asked in unit["samples"]:
            candidate = Candidate(
                index=asked["index"],
                scenario=asked.get("scenario") or {},
                levels=asked.get("levels") or {},
                labels=asked.get("labels") or {},
                members=_Files(Path(unit["dir"]), asked.get("files") or {}),
            )
            with _blaming(f"sample {candidate.index}", self._fn):
                verdict = self._verdict(self(candidate))
            answer = {"type": "verdict", "index": candidate.index, "accepted": verdict.accepted}
            if verdict.reason:
                answer["reason"] = verdict.reason
            if verdict.scores:
                answer["scores"] = verdict.scores
            say(answer)

    def _verdict(self, answer: object) -> Verdict:
        answer = _plain(answer)
        if isinstance(answer, bool):
            answer = Verdict(answer)
        elif isinstance(answer, str):
            answer = Verdict(False, answer)
        elif not isinstance(answer, Verdict):
            raise TypeError(f"the gate returned {_kind(answer)}; return True, a reason, or a hone.Verdict")
        scores = {}
        for name, value in answer.scores.items():
            if name not in self.description["scores"]:
                raise ValueError(f"the score {name!r} is not declared: add it to @hone.gate(scores=[...])")
            scores[name] = float(value)
            if not math.isfinite(scores[name]):
                raise ValueError(f"the score {name} is {scores[name]}; scores are finite numbers")
        accepted, reason = bool(answer.accepted), answer.reason
        if not accepted and not reason:
            reason = f"sent back by {getattr(self, '__name__', 'the gate')}"
        return Verdict(accepted, reason, scores)


class _Files(Mapping[str, bytes]):
    """A sample's members, each read when it is asked for."""

    def __init__(self, directory: Path, files: Mapping[str, str]) -> None:
        self._directory, self._files = directory, files

    def __getitem__(self, name: str) -> bytes:
        return (self._directory / self._files[name]).read_bytes()

    def __contains__(self, name: object) -> bool:
        return name in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def generator(
    *, version: str, outputs: Sequence[str], deterministic: bool = False
) -> Callable[[Callable[[Draft], Mapping[str, Any]]], Generator]:
    """Makes a function of one :class:`Draft` a generator, to be run by :func:`serve`.

    The function returns the sample's files by name: ``bytes`` as they are, a ``str`` as UTF-8, anything else as JSON;
    a picture or an array, as in ``image.png`` or ``depth.npy``, is ``bytes``.
    ``version`` names the code and whatever it loads: change it when the same seed would give other bytes. ``outputs``
    are the names of the files that every sample has. ``deterministic`` promises that equal seeds give equal bytes on
    any machine. The function stays an ordinary function for tests.

    >>> @hone.generator(version="1", outputs=["image.pgm", "label.json"], deterministic=True)
    ... def make(draft):
    ...     gray = draft.rng.randrange(128) + (0 if draft.scenario["light"] == "low" else 128)
    ...     return {"image.pgm": b"P5 1 1 255 " + bytes([gray]), "label.json": {"light": draft.scenario["light"]}}
    >>> make(hone.Draft(index=0, seed=7, scenario={"light": "low"}))["label.json"]
    {'light': 'low'}
    """
    _check_version(version)
    outputs = list(outputs)
    for name in outputs:
        if not MEMBER_NAME.match(name):
            raise ValueError(f"{name!r} is not a file's name: lower-case words joined by dots, as in image.png")
    if not outputs or len(outputs) > MAX_MEMBERS or len(set(outputs)) < len(outputs):
        raise ValueError(f"outputs are 1 to {MAX_MEMBERS} distinct names, got {outputs}")
    description: dict[str, Any] = {"version": version, "outputs": outputs}
    if deterministic:
        description["deterministic"] = True
    return lambda fn: Generator(fn, description)


def gate(*, version: str, scores: Sequence[str] = ()) -> Callable[[Callable[[Candidate], bool | str | Verdict]], Gate]:
    """Makes a function of one :class:`Candidate` a gate, to be run by :func:`serve`.

    The function returns True to accept; a reason (a phrase for a person), or False, to send the sample back; or a
    :class:`Verdict` with scores, whose names are declared in ``scores``. The same sample must get the same verdict
    again, whatever was judged before it.

    >>> @hone.gate(version="1", scores=["bytes"])
    ... def not_empty(candidate):
    ...     size = len(candidate.members["image.png"])
    ...     return hone.Verdict(size > 0, "the image is empty", {"bytes": size})
    >>> not_empty(hone.Candidate(index=0, members={"image.png": b""})).accepted
    False
    """
    _check_version(version)
    description = {"version": version, "scores": list(scores)}
    return lambda fn: Gate(fn, description)


def serve(program: Generator | Gate) -> None:
    """Runs a generator or gate as the program that Hone starts, until standard input ends.

    While it runs, whatever the function prints, or a library or child process of it, goes to standard error: the
    protocol has the standard streams for itself. An exception fails the unit with its message, and its traceback goes
    to standard error; the program goes on with the next unit.

    >>> if __name__ == "__main__":                                              # doctest: +SKIP
    ...     hone.serve(make)
    """
    if not isinstance(program, (Generator, Gate)):
        raise TypeError(f"hone.serve takes a function decorated by @hone.generator or @hone.gate, not {_kind(program)}")
    try:
        with _standard_streams() as (questions, answers):
            talk(program, questions, answers)
    except BrokenPipeError:
        pass  # Hone is gone, and with it whoever would read an answer


def talk(program: Generator | Gate, questions: IO[bytes], answers: IO[bytes]) -> None:
    """Answers every question, one line each, until they end."""

    def say(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n")
        answers.flush()

    for line in questions:
        try:
            _answer(program, line, say)
        except BrokenPipeError:
            raise
        except Exception as error:
            cause = error.__cause__ if isinstance(error, _Blamed) and error.__cause__ else error
            traceback.print_exception(type(cause), cause, cause.__traceback__, file=sys.stderr)
            sys.stderr.flush()
            say({"type": "failed", "error": str(error) if isinstance(error, _Blamed) else _words(error)})


def _answer(program: Generator | Gate, line: bytes, say: Callable[[dict[str, Any]], None]) -> None:
    question = json.loads(line)
    kind = question.get("type") if isinstance(question, dict) else None
    if kind == "describe":
        if question.get("protocol") != PROTOCOL:
            raise HoneError(f"protocol {question.get('protocol')} was asked for; this package speaks {PROTOCOL}")
        say(program.description)
    elif kind == program.asked:
        program._unit(question, say)
        say({"type": "done", "samples": len(question["samples"])})
    else:
        raise HoneError(f"{kind!r} is not a question that a {type(program).__name__.lower()} can answer")


class _Blamed(Exception):
    """What went wrong in the user's function, and for which sample."""


@contextmanager
def _blaming(what: str, fn: Callable[[Any], Any]) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise _Blamed(f"{what}: {_words(error)}{_where(error, fn)}") from error


def _where(error: BaseException, fn: Callable[[Any], Any]) -> str:
    """The innermost line of the function's own file that an exception came through."""
    code = getattr(inspect.unwrap(fn), "__code__", None)
    own = [f for f in traceback.extract_tb(error.__traceback__) if code and f.filename == code.co_filename]
    return f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


@contextmanager
def _standard_streams() -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """The standard streams for the protocol alone. Whoever reads or prints meanwhile meets nothing and stderr."""
    # Unlike those at 0 and 1, these are not passed on to child processes.
    inherited_in, inherited_out, stdin, stdout = os.dup(0), os.dup(1), sys.stdin, sys.stdout
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    stdout.flush()  # only now: what was printed while the module was loaded is no answer either
    sys.stdin, sys.stdout = open(os.devnull), sys.stderr  # noqa: SIM115
    with open(inherited_in, "rb") as questions, open(inherited_out, "wb") as answers:
        try:
            yield questions, answers
        finally:
            os.dup2(inherited_in, 0)
            os.dup2(inherited_out, 1)
            sys.stdin.close()
            sys.stdin, sys.stdout = stdin, stdout


def _outputs(answer: object, outputs: list[str]) -> Mapping[str, Any]:
    if not isinstance(answer, Mapping):
        raise TypeError(f"the generator returned {_kind(answer)}; return a dict of {outputs}")
    missing = [name for name in outputs if name not in answer]
    extra = [name for name in answer if name not in outputs]
    if missing:
        raise ValueError(f"the sample has no {missing[0]}, which is one of outputs={outputs}")
    if extra:
        raise ValueError(f"the sample has {extra[0]!r}, which is not one of outputs={outputs}: add it there")
    return answer


def _bytes(name: str, value: object) -> bytes:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if name.rpartition(".")[2] in BINARY:
        raise TypeError(f"{name} is {_kind(value)}; give its bytes, as it would stand in a file")
    if isinstance(value, str):
        return value.encode()
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"), default=_plain_or_refuse).encode()
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} is {_kind(value)}, which is neither bytes nor text nor JSON: {error}") from error


def _plain(value: object) -> object:
    """A numpy or torch scalar as Python's own; anything else as it is."""
    item = getattr(value, "item", None)
    return item() if callable(item) and getattr(value, "ndim", 0) == 0 else value


def _plain_or_refuse(value: object) -> object:
    plain = _plain(value)
    if plain is value:
        raise TypeError(f"{_kind(value)} is not JSON")
    return plain


def _kind(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def _check_version(version: object) -> None:
    if not isinstance(version, str) or not version:
        raise ValueError(f"a version is text that is not empty, as in version='1.0', not {version!r}")
