"""The nodes of a cluster, as a client knows them."""

from __future__ import annotations

from urllib.parse import SplitResult, urljoin, urlsplit

from .errors import HoneError, Unavailable

DEFAULT_SERVER = "http://127.0.0.1:7070"

MAX_LEARNT = 8


class Servers:
    """Those that were given, and the leaders to which they sent the client.

    Threads share it without a lock: each change replaces the whole order, and the worst that two at once bring about
    is that the wrong server is asked first.

    >>> servers = Servers("n1:7070, https://n2")
    >>> servers.turn()
    ('http://n1:7070', 'https://n2')
    >>> servers.answered("http://n3")
    >>> servers.turn()
    ('http://n3', 'http://n1:7070', 'https://n2')
    """

    def __init__(self, given: str) -> None:
        urls = [_url(one) for one in (one.strip() for one in given.split(",")) if one] or [DEFAULT_SERVER]
        self._given = self._order = tuple(dict.fromkeys(urls))
        self.leader = ""
        """Who answered last."""

    def __str__(self) -> str:
        return ",".join(self._given)

    def turn(self) -> tuple[str, ...]:
        """In which order they are asked: who answered last, and then the others."""
        return self._order

    def answered(self, server: str) -> None:
        """It leads, or is said to: it is asked first from now on."""
        order = self._order
        if server in order:
            at = order.index(server)
            self._order = order[at:] + order[:at]
        else:
            learnt = [known for known in order if known not in self._given]
            gone = learnt[-1] if len(learnt) == MAX_LEARNT else ""
            self._order = (server, *(known for known in order if known != gone))
        self.leader = server

    def failed(self, server: str) -> None:
        """It did not answer, or does not lead. The next is asked first; what was learnt is forgotten."""
        order = self._order
        if server not in self._given:
            self._order = tuple(known for known in order if known != server)
        elif order[0] == server:
            self._order = order[1:] + order[:1]
        if self.leader == server:
            self.leader = ""


def redirected(server: str, target: str, location: str) -> str:
    """To which server a node sends a request on, which went to ``server`` + ``target``.

    A node sends the same request to the leader; whatever else an answer asks for is not followed.

    >>> redirected("http://n1", "/v1/sql", "http://n2:7070/v1/sql")
    'http://n2:7070'
    """
    try:
        url = urlsplit(urljoin(server + target, location))
        valid = bool(location and url.hostname and url.username is None and url.port != 0)
    except ValueError:
        valid = False
    if not valid:
        raise Unavailable(f"it sends the request on to {location!r}, which is no URL", status=503)
    if url.scheme != urlsplit(server).scheme:
        raise Unavailable(
            f"it sends the request on to {location}, by another scheme: name that one if you mean it", status=503
        )
    if not url.geturl().endswith(target):
        raise Unavailable(f"it sends the request on to {location}, which is another request", status=503)
    return url.geturl().removesuffix(target)


def _url(given: str) -> str:
    server = given if "://" in given else "http://" + given
    try:
        url: SplitResult = urlsplit(server)
        valid = url.scheme in ("http", "https") and url.hostname and url.username is None and url.port != 0
    except ValueError:
        valid = False
    if not valid or url.query or url.fragment:
        raise HoneError(f"{given!r} is not a server's URL, as in {DEFAULT_SERVER}, or several with commas between them")
    return server.rstrip("/")
