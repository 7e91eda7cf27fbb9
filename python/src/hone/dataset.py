"""Published datasets: their samples, streamed and checked."""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import quote

from .bundle import Torn, read_samples, sample_digest
from .client import Client, patiently, pauses
from .errors import HoneError, Unavailable

__all__ = ["Dataset", "Row", "Sample", "dataset"]

BATCH = 512  # samples per request; the server gives no more
AHEAD = 256 << 20  # bytes that are read ahead, at most


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a dataset's manifest: what is known of a sample without its bytes.

    >>> dataset.rows[0].importance_weight                                       # doctest: +SKIP
    0.84
    """

    round: int
    component: int
    """Of the round's mixture, within its split."""
    index: int
    attempt: int
    digest: str
    """Of the sample's content: ``sha256:`` and 64 hex digits."""
    importance_weight: float
    """How much the sample counts for deployment: the target's density by the mixture's."""
    split: str
    """``train``, ``probe`` or ``evaluation``."""


class Sample:
    """A sample as it came down, its bytes checked against the manifest.

    >>> sample.members["image.png"][:4]                                         # doctest: +SKIP
    b'\\x89PNG'
    >>> sample.scenario["light"]                                                # doctest: +SKIP
    'low'
    """

    __slots__ = ("_shown", "key", "members", "row")

    def __init__(self, key: str, members: dict[str, bytes], row: Row, shown: _Shown | None = None) -> None:
        self.key = key
        """The sample's name in its pack; unique within a campaign."""
        self.members = members
        """The sample's files by name, as the generator called them."""
        self.row = row
        """The sample's line of the manifest."""
        self._shown = shown

    @property
    def digest(self) -> str:
        """Of the content: ``sha256:`` and 64 hex digits. Outcomes name a sample by it."""
        return self.row.digest

    @property
    def round(self) -> int:
        """The round that asked for the sample, from 1."""
        return self.row.round

    @property
    def component(self) -> int:
        """The component of the round's mixture, from 0 within its split."""
        return self.row.component

    @property
    def index(self) -> int:
        """The sample's place in its component, from 0."""
        return self.row.index

    @property
    def attempt(self) -> int:
        """How often a gate had sent the sample back."""
        return self.row.attempt

    @property
    def importance_weight(self) -> float:
        """How much the sample counts for deployment; weigh its loss by it."""
        return self.row.importance_weight

    @property
    def split(self) -> str:
        """``train``, ``probe`` or ``evaluation``."""
        return self.row.split

    @property
    def example(self) -> str:
        """The sample's name as an example of its evaluation set; outcomes that name a Sample carry it."""
        return f"r{self.round}-c{self.component}-i{self.index}"

    @property
    def scenario(self) -> dict[str, Any]:
        """What the sample shows: a level's name, or a number, by factor. Absent factors are left out.

        The server is asked when the first sample of a dataset is, and then for all of them: some 300 bytes each.
        """
        return self._described()["scenario"]

    @property
    def levels(self) -> dict[str, str]:
        """The bin of each numeric factor; asked for as ``scenario`` is."""
        return self._described().get("levels", {})

    @property
    def labels(self) -> dict[str, str]:
        """The space's derived labels; asked for as ``scenario`` is."""
        return self._described().get("labels", {})

    def _described(self) -> dict[str, dict[str, Any]]:
        if self._shown is None:
            raise HoneError("this sample was not read from a server, so what it shows is not known")
        return self._shown.by(self.row)

    def __repr__(self) -> str:
        return f"hone.Sample({self.key!r}, {sorted(self.members)})"


def dataset(name: str, *, server: str | None = None, client: Client | None = None) -> Dataset:
    """Opens a published dataset version, ``NAME@VERSION``, or with ``NAME`` the latest.

    >>> for sample in hone.dataset("parts-first@1"):                            # doctest: +SKIP
    ...     learn(sample.members["image.png"], weight=sample.importance_weight)
    """
    return Dataset(client or Client(server), name)


class Dataset:
    """A published version of a dataset, which never changes: iterate it as often as you like.

    Samples are fetched while you iterate, up to 512 and 256 MiB ahead, and each is hashed and compared with the
    manifest; the manifest is compared with the version's digest. A download that breaks off goes on where it
    stopped. May be iterated by several threads, and sent to other processes (each iterates on its own).

    >>> data = hone.dataset("parts-first@1")                                    # doctest: +SKIP
    >>> len(data), sum(data.weights())                                          # doctest: +SKIP
    (1500, 1498.7)
    """

    def __init__(self, client: Client, name: str) -> None:
        name, _, version = name.partition("@")
        path = f"/v1/datasets/{quote(name, safe='')}"
        if version:
            if not version.isdecimal():
                raise HoneError(f"{version!r} is not a dataset's version: write NAME@NUMBER, or NAME for the latest")
            found = client.get(f"{path}/{version}")
        else:
            versions = client.get(path)["datasets"]
            if not versions:
                raise HoneError(f"dataset {name} has no version yet", status=404)
            found = versions[-1]
        self.name: str = found["name"]
        """Without the version."""
        self.version: int = found["version"]
        self.campaign: str = found["campaign"]
        """The campaign that made the samples; ``""`` if they were imported."""
        self.advisory: str = found.get("advisory", "")
        """What became known about the version after it was published; ``""`` if nothing did."""
        self.rows: Sequence[Row] = _manifest(client, f"{path}/{self.version}/manifest", found["manifest_sha256"])
        """The manifest: a row per sample, in the order of iteration."""
        self._client = client
        self._shown = _Shown(client, f"{path}/{self.version}/rows", self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"<hone.Dataset {self.name}@{self.version}, {len(self)} samples>"

    def weights(self) -> list[float]:
        """The importance weight of each sample, in the order of iteration, without fetching any.

        >>> torch.utils.data.WeightedRandomSampler(data.weights(), len(data))   # doctest: +SKIP
        """
        return [row.importance_weight for row in self.rows]

    def shuffle(self, seed: int) -> Dataset:
        """The same samples in another order, which the seed decides, equal on every machine.

        >>> for epoch in range(3):                                              # doctest: +SKIP
        ...     for sample in data.shuffle(epoch): ...
        """
        rows = list(self.rows)
        random.Random(seed).shuffle(rows)
        return self._with(rows)

    def shard(self, number: int, of: int) -> Dataset:
        """One of ``of`` disjoint parts, of equal size give or take one: for each rank of a distributed job its own.

        >>> mine = data.shuffle(0).shard(rank, of=world_size)                   # doctest: +SKIP
        """
        if not 0 <= number < of:
            raise ValueError(f"there is no shard {number} of {of}: they are numbered from 0")
        return self._with(self.rows[number::of])

    def _with(self, rows: Sequence[Row]) -> Dataset:
        other = object.__new__(Dataset)
        other.__dict__.update(self.__dict__, rows=rows)
        return other

    def __iter__(self) -> Iterator[Sample]:
        ahead = _Ahead(self)
        ahead.start()
        try:
            while (sample := ahead.take()) is not None:
                yield sample
        finally:
            ahead.stop()

    def _fetch(self) -> Generator[Sample, None, None]:
        """The samples, in order, going on where a download breaks off."""
        for start in range(0, len(self.rows), BATCH):
            rows = self.rows[start : start + BATCH]
            done, spent, waits = 0, 0.0, pauses()
            while done < len(rows):
                try:
                    for sample in self._batch(rows[done:]):
                        done, spent, waits = done + 1, 0.0, pauses()
                        yield sample
                except Unavailable as error:
                    pause = next(waits)
                    if spent + pause > self._client.patience:
                        raise Unavailable(f"samples of {self.name}@{self.version}: {error}") from error
                    spent += pause
                    time.sleep(pause)

    def _batch(self, rows: Sequence[Row]) -> Iterator[Sample]:
        body = json.dumps({"digests": [row.digest for row in rows]}).encode()
        headers = {"Content-Type": "application/json"}
        with self._client.stream("POST", "/v1/samples", body=body, headers=headers, patience=0) as tar:
            count = 0
            for key, members in read_samples(tar):
                if count == len(rows):
                    raise HoneError(f"samples: the server sent more than the {len(rows)} asked for")
                row, digest = rows[count], sample_digest(members)
                if digest != row.digest:
                    raise HoneError(f"samples: asked for {row.digest}, but the bytes that came are {digest}")
                count += 1
                yield Sample(key, members, row, self._shown)
            if count < len(rows):
                raise Torn(f"the server sent {count} of the {len(rows)} samples asked for")


class _Ahead:
    """Reads samples ahead of their consumer, in a thread, within bounds."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._changed = threading.Condition()
        self._ready: deque[Sample | BaseException | None] = deque()  # None: there is no more
        self._bytes = 0
        self._stopped = False

    def start(self) -> None:
        threading.Thread(target=self._run, name="hone-dataset", daemon=True).start()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def take(self) -> Sample | None:
        with self._changed:
            while not self._ready:
                self._changed.wait()
            sample = self._ready.popleft()
            if isinstance(sample, Sample):
                self._bytes -= _size(sample)
            self._changed.notify_all()
        if isinstance(sample, BaseException):
            raise sample
        return sample

    def _run(self) -> None:
        samples = self._dataset._fetch()
        try:
            for sample in samples:
                if not self._put(sample):
                    return
            self._put(None)
        except BaseException as error:
            self._put(error)
        finally:
            samples.close()

    def _put(self, sample: Sample | BaseException | None) -> bool:
        """Waits for room, and reports whether anybody still wants more."""
        size = _size(sample) if isinstance(sample, Sample) else 0
        with self._changed:
            while not self._stopped and self._ready and (len(self._ready) >= BATCH or self._bytes + size > AHEAD):
                self._changed.wait()
            self._ready.append(sample)
            self._bytes += size
            self._changed.notify_all()
            return not self._stopped


def _size(sample: Sample) -> int:
    return sum(map(len, sample.members.values()))


class _Shown:
    """What the samples of a version show: a line of JSON each, asked for when the first is."""

    def __init__(self, client: Client, path: str, rows: Sequence[Row]) -> None:
        self._client, self._path, self._rows = client, path, rows
        self._lines: dict[Row, bytes] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[_Shown], tuple[Client, str, Sequence[Row]]]:
        return _Shown, (self._client, self._path, self._rows)

    def by(self, row: Row) -> dict[str, dict[str, Any]]:
        with self._lock:
            if not self._lines:
                self._lines = patiently(self._ask, self._client.patience)
        described: dict[str, dict[str, Any]] = json.loads(self._lines[row])
        return described

    def _ask(self) -> dict[Row, bytes]:
        with self._client.stream("GET", self._path, patience=0) as body:
            lines = list(_lines(body))[1:]
        if len(lines) < len(self._rows):
            raise Torn(f"the server broke off after {len(lines)} of {len(self._rows)} rows")
        return dict(zip(self._rows, lines))


def _manifest(client: Client, path: str, digest: str) -> Sequence[Row]:
    """Downloads a manifest and holds it against its digest. A download that breaks off begins again."""

    def attempt() -> tuple[str, Sequence[Row]]:
        with client.stream("GET", path, patience=0) as body:
            return read_manifest(body)

    actual, rows = patiently(attempt, client.patience)
    if actual != digest:
        raise HoneError(f"GET {path}: the manifest is {actual}, but the version says {digest}")
    return rows


def _lines(body: IO[bytes]) -> Iterator[bytes]:
    """The whole lines of a body, up to where it ends or breaks off."""
    try:
        while (line := body.readline()).endswith(b"\n"):
            yield line
    except (OSError, http.client.HTTPException) as error:
        raise Torn(f"the server broke off: {error}") from error


def read_manifest(body: IO[bytes]) -> tuple[str, Sequence[Row]]:
    """The digest of a manifest's bytes, and its rows. Raises Torn where it breaks off."""
    hashed = hashlib.sha256()
    rows: list[Row] = []
    promised = -1
    for number, line in enumerate(_lines(body)):
        hashed.update(line)
        try:
            document = json.loads(line)
            if number > 0:
                rows.append(Row(**document))
            elif document["hone"] != "manifest/1":
                raise ValueError(f"{document['hone']!r} is not a format that this package reads")
            else:
                promised = int(document["rows"])
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise HoneError(f"line {number + 1} is not of a manifest: {error}") from error
    if len(rows) < promised or promised < 0:
        raise Torn(f"the server broke off after {len(rows)} of {max(promised, 0)} rows")
    return "sha256:" + hashed.hexdigest(), tuple(rows)
