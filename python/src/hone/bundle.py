"""The bytes of samples: a tar in WebDataset layout, and the digest of a sample's content."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Protocol

from .errors import HoneError, Unavailable

BLOCK = 512
MAX_MEMBER = 64 << 20
MAX_MEMBERS = 64
MEMBER_NAME = re.compile(r"(?=.{1,32}\Z)[a-z0-9_-]+(\.[a-z0-9_-]+)*\Z")


class Stream(Protocol):
    """What samples are read from."""

    def read(self, size: int, /) -> bytes: ...


class Torn(Unavailable):
    """A stream that broke off, as against one that says nonsense."""


def sample_digest(members: Mapping[str, bytes]) -> str:
    """The digest of a sample's content, which neither its key nor the order of its members changes.

    >>> sample_digest({"label.json": b"3"})
    'sha256:c5eedffd2b624ea2f5c2bd8520cc04a54cf8f9903e5cff44aa7af5c8f0a5f99f'
    """
    digest = hashlib.sha256(b"hone/sample/1")
    for name in sorted(members, key=str.encode):
        for part in (name.encode(), members[name]):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return "sha256:" + digest.hexdigest()


def read_samples(stream: Stream) -> Iterator[tuple[str, dict[str, bytes]]]:
    """The key and members of each sample of a tar.

    Members of a sample are adjacent, ascend by name and share what stands before the first dot. Raises Torn where the
    stream breaks off and HoneError where it is not such a tar.
    """
    key, last = "", ""
    members: dict[str, bytes] = {}
    while (header := _exactly(stream, BLOCK)) != bytes(BLOCK):
        name, size = _header(header)
        before, _, member = name.partition(".")
        # Two samples with equal keys, of two campaigns, may be neighbours.
        if members and (before != key or member <= last):
            yield key, members
            members = {}
        if len(members) == MAX_MEMBERS:
            raise HoneError(f"samples: {key} has more than {MAX_MEMBERS} members")
        content = _exactly(stream, size)
        _exactly(stream, -size % BLOCK)
        key, last, members[member] = before, member, content
    if members:
        yield key, members


def _header(block: bytes) -> tuple[str, int]:
    """Name and size of a member: what Hone writes, and little else that tar could say."""
    raw_name, raw_size, kind = block[:100].rstrip(b"\0"), block[124:135], block[156:157]
    total = sum(block) - sum(block[148:156]) + 8 * ord(" ")
    try:
        name, size, stated = raw_name.decode("ascii"), int(raw_size, 8), int(block[148:154], 8)
    except ValueError:
        name, size, stated = "", -1, -1
    key, dot, member = name.partition(".")
    if stated != total or kind not in b"0" or not key or not dot or not MEMBER_NAME.match(member):
        raise HoneError(f"samples: {raw_name!r} is not a member of a sample")
    if not 0 <= size <= MAX_MEMBER:
        raise HoneError(f"samples: {name} has {size} bytes; at most {MAX_MEMBER} are allowed")
    return name, size


def _exactly(stream: Stream, size: int) -> bytes:
    """Reads so many bytes, in whatever portions they come."""
    chunks, left = [], size
    while left:
        try:
            chunk = stream.read(left)
        except Exception as error:  # http.client has many ways to say it
            raise Torn(str(error) or type(error).__name__) from error
        if not chunk:
            raise Torn(f"the server broke off: {left} of {size} bytes are missing")
        chunks.append(chunk)
        left -= len(chunk)
    return b"".join(chunks)
