"""The decoder of samples, which reads what came over a network."""

from __future__ import annotations

import io
import random
import tarfile

import pytest

import hone
from hone.bundle import Torn, read_samples, sample_digest


def tar(samples: list[tuple[str, dict[str, bytes]]]) -> bytes:
    """As Python's own tarfile writes it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for key, members in samples:
            for name in sorted(members):
                entry = tarfile.TarInfo(f"{key}.{name}")
                entry.size = len(members[name])
                archive.addfile(entry, io.BytesIO(members[name]))
    return out.getvalue()


def draw(rng: random.Random) -> list[tuple[str, dict[str, bytes]]]:
    names = rng.sample(["image.png", "label.json", "mask.png", "a", "z_1-b.c.d"], rng.randint(1, 5))
    return [
        (f"r1-t{rng.randrange(3)}-i{i}-a0", {name: rng.randbytes(rng.choice([0, 1, 511, 512, 513])) for name in names})
        for i in range(rng.randint(1, 6))
    ]


class Trickle:
    """A stream that gives less than it is asked for, as sockets do."""

    def __init__(self, content: bytes, rng: random.Random) -> None:
        self.content, self.rng = io.BytesIO(content), rng

    def read(self, size: int, /) -> bytes:
        return self.content.read(self.rng.randint(1, max(1, size)))


def test_reads_what_tarfile_writes() -> None:
    for seed in range(50):
        rng = random.Random(seed)
        samples = draw(rng)
        assert list(read_samples(Trickle(tar(samples), rng))) == samples


def test_neighbours_with_one_key_are_two_samples() -> None:
    """As samples of two campaigns may be."""
    samples = [("k", {"a": b"1", "b": b"2"}), ("k", {"a": b"3", "b": b"4"})]
    assert list(read_samples(io.BytesIO(tar(samples)))) == samples


def test_every_cut_is_torn() -> None:
    samples = draw(random.Random(1))
    whole = tar(samples)
    end = 512 * len(whole.rstrip(b"\0")) // 512 + 512
    for cut in range(0, min(end, len(whole) - 1024), 97):
        read: list[tuple[str, dict[str, bytes]]] = []
        with pytest.raises(Torn):
            read.extend(read_samples(io.BytesIO(whole[:cut])))
        assert read == samples[: len(read)]  # what was read before is whole


def test_any_garbage_is_an_error_of_ours() -> None:
    """Random damage: it is found, or it changes content only, which the digest finds."""
    rng = random.Random(2)
    for _ in range(1000):
        samples = draw(rng)
        damaged = bytearray(tar(samples)[: 512 * 8])
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        try:
            for _, members in read_samples(io.BytesIO(bytes(damaged))):
                sample_digest(members)
        except (Torn, hone.HoneError):
            pass


def header(**fields: object) -> bytes:
    entry = tarfile.TarInfo("key.image.png")
    for name, value in fields.items():
        setattr(entry, name, value)
    return entry.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    "block",
    [
        header(type=tarfile.SYMTYPE),
        header(type=tarfile.DIRTYPE),
        header(type=tarfile.XHDTYPE),
        header(name="nodot"),
        header(name=".image.png"),
        header(name="key.IMAGE"),
        header(name="key.a..b"),
        header(name="key." + "a" * 33),
        header(name="key.a\nb"),
        header(size=1 << 32),
        b"\xff" * 512,
        header()[:-1] + b"x",
    ],
)
def test_what_hone_does_not_write_is_refused(block: bytes) -> None:
    with pytest.raises(hone.HoneError, match="samples: "):
        list(read_samples(io.BytesIO(block + bytes(2048))))


def test_too_many_members() -> None:
    with pytest.raises(hone.HoneError, match="more than 64"):
        list(read_samples(io.BytesIO(tar([("k", {f"m{i:02}": b"" for i in range(65)})]))))


def test_digest_does_not_depend_on_order_but_on_every_border() -> None:
    assert sample_digest({"a": b"1", "b": b"2"}) == sample_digest({"b": b"2", "a": b"1"})
    digests = {sample_digest(m) for m in ({"a": b"12"}, {"a": b"1", "b": b"2"}, {"a1": b"2"}, {"a": b""}, {"b": b""})}
    assert len(digests) == 5
