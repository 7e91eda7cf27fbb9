"""Posting outcomes from a training job, without ever getting in its way."""

from __future__ import annotations

import atexit
import json
import logging
import math
import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any
from urllib.parse import quote

from .client import Client, pauses, shorter
from .dataset import Sample
from .errors import HoneError, Mistake, Unavailable

__all__ = ["Run"]

log = logging.getLogger("hone")

AT_EXIT = 10.0  # seconds for a run that nobody closed
WARNINGS = 3  # refusals that are shown


@dataclass
class _Batch:
    """Rows that are posted together: they count all or none, and once."""

    number: int
    first: int
    """The place in the run of the first row, from 0."""
    rows: list[bytes]
    task: str
    eval_set: str


class Run:
    """The outcomes of one model version, posted in the background.

    >>> with hone.Run(space="parts", model="detector@7", eval_set="parts.eval@7") as run:   # doctest: +SKIP
    ...     for sample in hone.dataset("parts.eval@7"):
    ...         right, loss = evaluate(sample)
    ...         run.log({"sample": sample, "correct": right, "loss": loss})

    A row is a dict: ``sample`` (a :class:`Sample` or its digest), or ``example`` (a name) and ``scenario`` (a value
    per factor, None where it is unknown); ``correct``, or the metrics of the ``task``, which say it; and if there are
    any ``loss``, ``group`` (clip, image or patient: rows of a group are not independent), ``origin`` (``"real"`` or
    ``"synthetic"``) and ``uri`` (where a person can open the example: one line of at most 2,048 bytes). Scalars of
    numpy and torch are taken as numbers; NaN and infinities as no number.

    Leaving the block seals the model version: all of its outcomes are there, and the campaigns that learn from it move
    on. That, and that alone, waits for the server (up to a minute) and may raise: save your model before it. A block
    that ends in an exception only stops posting.

    **It does not break the training.** :meth:`log` raises nothing and does not wait for the server. Rows leave in
    batches of ``batch`` from a background thread, which tries again, with growing and jittered pauses, for as long as
    no server answers. At most ``queue`` rows wait. When they are that many, ``log`` waits up to ``block`` seconds for
    room; then it warns once (on the logger ``hone``), and from there on drops what there is no room for, at once, and
    counts it in :attr:`dropped`. The first rows that the server refuses are warned about, with their place and the
    remedy. Dropped and refused rows come up as a :class:`HoneError` in :meth:`seal` and :meth:`close`, never before.

    **Every row counts once.** Each batch has an idempotency key, made of ``run`` and the batch's number, which is the
    same over all tries. Name the ``run``, and a job that is started again and logs the same rows in the same order
    (from one thread) counts them once, whatever the first one got done; without a name it gets a new one each time.

    Any number of threads may use a Run. It belongs to the process that made it: in a forked child ``log`` drops its
    rows with a warning; make one Run per process there, each with a ``run`` name of its own, :meth:`close` them, and
    let one seal with the ``rows`` of all.
    """

    def __init__(
        self,
        server: str | None = None,
        *,
        space: str,
        model: str,
        task: str | None = None,
        eval_set: str | None = None,
        run: str | None = None,
        batch: int = 1_000,
        queue: int = 100_000,
        block: float = 5.0,
        client: Client | None = None,
    ) -> None:
        line, _, version = model.partition("@")
        if not line or not version:
            raise HoneError(f"{model!r} is not a model version: write LINE@VERSION, as in detector@7")
        if batch < 1 or queue < batch:
            raise ValueError(f"batch={batch} and queue={queue} leave no room: a queue holds at least one batch")
        self.space, self.model, self.name = space, model, run or uuid.uuid4().hex
        self.dropped = 0
        """How many rows were not posted because the queue was full."""
        self.refused = 0
        """How many rows were not counted because the server, or JSON, would not take them or one of their batch."""
        self.rows = 0
        """How many rows were logged, all in all."""
        self.posted = 0
        """How many of them the server has acknowledged."""
        self._client = client or Client(server)
        self._task, self._eval_set = task or "", eval_set or ""
        self._size, self._room, self._block = batch, max(1, queue // batch), block
        self._open: _Batch | None = None
        self._queue: deque[_Batch] = deque()
        self._batches = 0
        self._changed = threading.Condition(threading.RLock())
        self._thread: threading.Thread | None = None
        self._refusals = 0
        self._first_refusal: HoneError | None = None
        self._closed = self._sealed = self._given_up = False
        self._last: HoneError | None = None
        self._pid = os.getpid()
        self._strange = False

    def log(
        self,
        rows: Mapping[str, Any] | Iterable[Mapping[str, Any]],
        *,
        task: str | None = None,
        eval_set: str | None = None,
    ) -> None:
        """Takes a row or several. ``task`` and ``eval_set`` stand in for those of the run.

        >>> run.log({"sample": sample, "correct": True})                        # doctest: +SKIP
        >>> run.log([{"example": "a17", "group": "clip3", "scenario": {"light": "low", "pose": None},
        ...           "correct": False, "loss": 1.2, "origin": "real", "uri": "s3://field/3/a17.png"}],
        ...         eval_set="field@3")                                         # doctest: +SKIP
        """
        where = (self._task if task is None else task, self._eval_set if eval_set is None else eval_set)
        for row in (rows,) if isinstance(rows, Mapping) else rows:
            if os.getpid() == self._pid:
                self._add(row, *where)
            else:
                self._forked()

    def flush(self, timeout: float = 60.0) -> None:
        """Waits until everything that was logged is acknowledged or refused; :class:`Unavailable` if that takes longer.

        >>> run.flush()                                                         # doctest: +SKIP
        """
        if os.getpid() != self._pid:
            return
        deadline = time.monotonic() + timeout
        with self._changed:
            self._cut(bounded=False)
            while self._queue:
                left = deadline - time.monotonic()
                if left <= 0:
                    waiting = sum(len(batch.rows) for batch in self._queue)
                    raise Unavailable(
                        f"{waiting} of {self.rows} rows of {self.model} were not delivered in {timeout:g} s"
                        + (f": {self._last.detail}" if self._last else "")
                    )
                self._changed.wait(left)

    def close(self, timeout: float = 60.0) -> None:
        """Flushes and stops posting, without sealing. Raises if a row was dropped or refused.

        >>> run.close()                                                         # doctest: +SKIP
        """
        if os.getpid() != self._pid:
            return
        if self._closed:
            return
        try:
            self.flush(timeout)
        finally:
            self._stop()
        self._judge()

    def seal(self, rows: int | None = None, *, timeout: float = 60.0) -> None:
        """Flushes, and declares the outcomes of the model version complete, with their number.

        ``rows`` is the number over all runs that posted outcomes of this version; left out, this one was alone. Raises,
        and seals nothing, if a row was dropped, refused or not delivered, or if the server counts another number.

        >>> run.seal()                                                          # doctest: +SKIP
        """
        if os.getpid() != self._pid or self._sealed:
            return
        self.close(timeout)
        self._judge()
        line, _, version = self.model.partition("@")
        path = f"/v1/models/{quote(line, safe='')}/{quote(version, safe='')}/seal"
        self._client.post(path, {"rows": self.rows if rows is None else rows})
        self._sealed = True

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            try:
                self.close(AT_EXIT)
            except HoneError as mistake:
                log.warning("%s", mistake)
        elif not self._closed:
            self.seal()

    def __repr__(self) -> str:
        return f"<hone.Run {self.name} of {self.model}: {self.posted} of {self.rows} rows posted>"

    # The side of the training.

    def _add(self, row: object, task: str, eval_set: str) -> None:
        try:
            line = _encode(row)
        except (TypeError, ValueError, RecursionError) as error:
            with self._changed:
                place, self.rows = self.rows, self.rows + 1
                self._refuse(1, HoneError(f"row {place + 1} of the run is not JSON and was not posted: {error}"))
            return
        with self._changed:
            if self._closed:
                self.rows += 1
                self.dropped += 1
                self._warn_drop("the run is closed")
                return
            if self._open and (self._open.task, self._open.eval_set) != (task, eval_set):
                self._cut()
            if self._batches == 0:
                atexit.register(self._at_exit)
            if self._open is None:
                self._open = _Batch(self._batches, self.rows, [], task, eval_set)
                self._batches += 1
            self._open.rows.append(line)
            self.rows += 1
            if len(self._open.rows) >= self._size:
                self._cut()

    def _cut(self, *, bounded: bool = True) -> None:
        """Hands the open batch to the thread; where the queue is bounded, waits for room, and drops it in the end."""
        batch, self._open = self._open, None
        if batch is None:
            return
        if bounded and not self.dropped:
            deadline = time.monotonic() + self._block
            while len(self._queue) >= self._room and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
        if self._closed or (bounded and len(self._queue) >= self._room):
            # Its number stays used, so that the same rows, logged again, make the same batches.
            self.dropped += len(batch.rows)
            self._warn_drop(self._last.detail if self._last else f"the server is slower than {self._room} batches")
            return
        self._queue.append(batch)
        self._changed.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(target=self._post_all, name="hone-run", daemon=True)
            self._thread.start()

    def _warn_drop(self, why: str) -> None:
        if not self._given_up:
            self._given_up = True
            log.warning(
                "outcomes of %s are dropped: %s; the training goes on, the version cannot be sealed", self.model, why
            )

    def _forked(self) -> None:
        self.dropped += 1
        if not self._strange:
            self._strange = True
            log.warning("outcomes of %s are dropped: the run was made in another process; make one in each", self.model)

    # The side of the server.

    def _post_all(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                batch = self._queue[0]
            refusal = self._post(batch)
            with self._changed:
                if self._closed and refusal is _UNDONE:
                    return
                self._queue.popleft()
                if refusal is None:
                    self.posted += len(batch.rows)
                else:
                    self._refuse(len(batch.rows), refusal)
                self._changed.notify_all()

    def _post(self, batch: _Batch) -> HoneError | None:
        """Posts a batch until it counts or is refused, or the run is closed."""
        query = {"space": self.space, "model": self.model, "run": self.name}
        query.update({name: value for name, value in (("task", batch.task), ("eval_set", batch.eval_set)) if value})
        headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": f"batch-{batch.number}"}
        body = b"\n".join(batch.rows) + b"\n"
        for pause in pauses():
            try:
                with self._client.stream(
                    "POST", "/v1/outcomes", query=query, body=body, headers=headers, patience=0
                ) as answer:
                    # Whatever became of the rest of the answer, its status says that the rows count.
                    del answer
                self._last = None
                return None
            except HoneError as error:
                if not isinstance(error, Unavailable) and error.status < 500:
                    return _placed(error, batch)
                self._last = error
                wait = shorter(pause, error)
            except Exception as error:  # a mistake of ours must not stop the thread: close() would wait in vain
                return HoneError(f"batch {batch.number} was not posted: {type(error).__name__}: {error}")
            with self._changed:
                deadline = time.monotonic() + wait
                while not self._closed and (left := deadline - time.monotonic()) > 0:
                    self._changed.wait(left)
                if self._closed:
                    return _UNDONE
        raise AssertionError("pauses never end")

    def _refuse(self, rows: int, error: HoneError) -> None:
        self.refused += rows
        self._refusals += 1
        self._first_refusal = self._first_refusal or error
        if self._refusals <= WARNINGS:
            log.warning("%d outcomes of %s were refused: %s", rows, self.model, error)
        if self._refusals == WARNINGS:
            log.warning("further refusals of outcomes of %s are counted, and not shown", self.model)

    def _judge(self) -> None:
        """Raises what went wrong."""
        if first := self._first_refusal:
            raise HoneError(
                f"{self.refused} of {self.rows} rows of {self.model} were refused: {first.detail}",
                status=first.status,
                mistakes=first.mistakes,
            )
        if self.posted < self.rows:
            raise HoneError(
                f"{self.rows - self.posted} of {self.rows} rows were not posted ({self.dropped} dropped, "
                "because the server was away or slow); log all of them again in a run of the same name, "
                f"run={self.name!r}: what counts already is not counted twice"
            )

    def _stop(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        atexit.unregister(self._at_exit)
        if self._thread is not None:
            self._thread.join(1.0)

    def _at_exit(self) -> None:
        """The interpreter ends and nobody closed the run: post what is there, if that can be done soon."""
        if os.getpid() != self._pid or self._closed:
            return
        log.warning("the run of %s was neither sealed nor closed; its last rows are posted now", self.model)
        try:
            self.close(AT_EXIT)
        except HoneError as error:
            log.warning("%s", error)


_UNDONE = HoneError("the run was closed")


def _placed(error: HoneError, batch: _Batch) -> HoneError:
    """The refusal of a batch, in which each mistake names the row of the run, and shows it."""

    def place(mistake: Mistake) -> Mistake:
        row, comma, column = mistake.field.partition(",")
        word, _, number = row.partition(" ")
        if word != "row" or not number.isdecimal() or not 1 <= int(number) <= len(batch.rows):
            return mistake
        text = batch.rows[int(number) - 1].decode()
        shown = text if len(text) <= 200 else text[:200] + "..."
        return replace(
            mistake,
            field=f"row {batch.first + int(number)} of the run{comma}{column}",
            problem=f"{mistake.problem} in {shown}",
        )

    return HoneError(error.detail, status=error.status, mistakes=[place(mistake) for mistake in error.mistakes])


def _encode(row: object) -> bytes:
    """A row as a line of NDJSON."""
    if not isinstance(row, Mapping):
        raise TypeError(f"a row is a dict, not a {type(row).__name__}")
    row = dict(row)
    if isinstance(sample := row.get("sample"), Sample):
        row["sample"] = sample.digest
        row.setdefault("example", sample.example)
    try:
        text = json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)
    except ValueError:  # NaN, as a rule
        text = json.dumps(_finite(row), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode()


def _plain(value: object) -> object:
    """A numpy or torch scalar as Python's own, without importing either."""
    item = getattr(value, "item", None)
    if not callable(item):
        raise TypeError(f"a {type(value).__name__} is no value of a row")
    return item()


def _finite(value: object) -> object:
    """The value with None for every float that JSON cannot say."""
    if isinstance(value, Mapping):
        return {str(name): _finite(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    if value is None or isinstance(value, (str, bool, int)):
        return value
    plain = value if isinstance(value, float) else _plain(value)
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain
