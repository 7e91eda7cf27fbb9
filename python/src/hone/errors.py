"""What goes wrong, and what to do about it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

__all__ = ["HoneError", "Mistake", "Unavailable"]


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong with a request.

    >>> Mistake("row 17, column light", '"lo" is not a level', 'did you mean "low"?').field
    'row 17, column light'
    """

    field: str
    """Where: a field's path, or a row and column."""
    problem: str
    """What is wrong."""
    remedy: str = ""
    """What to do about it, where the server knows."""

    def __str__(self) -> str:
        text = f"{self.field}: {self.problem}" if self.field else self.problem
        return f"{text} ({self.remedy})" if self.remedy else text


class HoneError(Exception):
    """A request that was refused, or something that could not be done.

    >>> error = HoneError("nothing of the post was counted", status=422, mistakes=[Mistake("row 1", "no example")])
    >>> error.status, error.field, error.problem
    (422, 'row 1', 'no example')
    """

    def __init__(self, detail: str, *, status: int = 0, mistakes: list[Mistake] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        """What is wrong, in a sentence."""
        self.status = status
        """The HTTP status of the server's answer; 0 where the package itself says so."""
        self.mistakes = mistakes or []
        """Each mistake and where it is, in the order of the input; the first ones where there are many."""

    @property
    def field(self) -> str:
        """Where the first mistake is, or ``""``."""
        return self.mistakes[0].field if self.mistakes else ""

    @property
    def problem(self) -> str:
        """What the first mistake is, or the detail."""
        return self.mistakes[0].problem if self.mistakes else self.detail

    @property
    def remedy(self) -> str:
        """What to do about the first mistake, or ``""``."""
        return self.mistakes[0].remedy if self.mistakes else ""

    def __str__(self) -> str:
        lines = [self.detail]
        # A single mistake is often the whole detail already.
        lines += [f"  {m}" for m in self.mistakes if str(m) != self.detail]
        return "\n".join(lines)


class Unavailable(HoneError):
    """No server could be reached, or none could answer, for as long as was waited.

    >>> issubclass(Unavailable, HoneError)
    True
    """


def problem(status: int, content_type: str, body: bytes) -> HoneError:
    """The error that an answer says: a problem document (RFC 9457), or whatever it is."""
    kind = Unavailable if status in (429, 502, 503, 504) else HoneError
    detail, mistakes = "", []
    if "json" in content_type:
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            document = None
        if isinstance(document, dict):
            detail = _text(document.get("detail")) or _text(document.get("title"))
            listed = document.get("errors")
            mistakes = [_mistake(m) for m in listed if isinstance(m, dict)] if isinstance(listed, list) else []
    if not detail:
        text = body.decode("utf-8", "replace").strip()
        detail = (text[:200] + "..." if len(text) > 200 else text) or f"HTTP status {status}"
    return kind(detail, status=status, mistakes=mistakes)


def _mistake(document: dict[str, Any]) -> Mistake:
    wrong, remedy = _cut_remedy(_text(document.get("message")))
    return Mistake(_text(document.get("location")), wrong, remedy)


def _cut_remedy(message: str) -> tuple[str, str]:
    """Cuts the remedy, which stands in parentheses at the end, off a message."""
    if not message.endswith(")"):
        return message, ""
    depth = 0
    for i in range(len(message) - 1, 0, -1):
        depth += (message[i] == ")") - (message[i] == "(")
        if depth == 0:
            return (message[:i].rstrip(), message[i + 1 : -1]) if message[i - 1] == " " else (message, "")
    return message, ""


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


# So that tracebacks name them as users do.
for _kind in (HoneError, Unavailable):
    _kind.__module__ = "hone"
