"""Gray pictures, and just enough PNG to keep them: what generator, gate and training job share."""

from __future__ import annotations

import struct
import zlib

PARTS = ("nut", "washer", "bolt")
"""What a picture may show."""

SIZE = 12
"""Pixels, either way."""

Picture = list[float]
"""SIZE * SIZE brightnesses from 0 to 1, row by row."""


def to_png(picture: Picture) -> bytes:
    """An 8-bit gray PNG. It is not compressed, so that equal pictures are equal bytes with any zlib."""
    pixels = bytes(round(255 * min(1.0, max(0.0, p))) for p in picture)
    rows = b"".join(b"\0" + pixels[y * SIZE : (y + 1) * SIZE] for y in range(SIZE))  # 0: unfiltered
    header = struct.pack(">IIBBBBB", SIZE, SIZE, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows, 0)) + _chunk(b"IEND", b"")
    )


def from_png(content: bytes) -> Picture:
    """Reads what to_png wrote; anything else is a ValueError."""
    width = SIZE + 1
    try:
        start = content.index(b"IDAT")
        (length,) = struct.unpack(">I", content[start - 4 : start])
        rows = zlib.decompress(content[start + 4 : start + 4 + length])
    except (ValueError, struct.error, zlib.error) as error:
        raise ValueError(f"not one of our PNGs: {error}") from error
    if len(rows) != SIZE * width or any(rows[::width]):
        raise ValueError(f"not one of our PNGs: it has not {SIZE} x {SIZE} gray pixels, unfiltered")
    return [p / 255 for y in range(SIZE) for p in rows[y * width + 1 : (y + 1) * width]]


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
