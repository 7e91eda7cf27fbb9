"""The HTTP client: one request per call, sent to whichever server leads, and again while none answers."""

from __future__ import annotations

import http.client
import json
import logging
import os
import random
import selectors
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from .errors import HoneError, Unavailable, problem
from .servers import Servers, redirected

__all__ = ["Client", "Round"]

log = logging.getLogger("hone")

MAX_PAUSE = 5.0  # seconds between two tries
MAX_ELECTION = 1.0  # seconds between two tries while a node answers, though it knows of no leader
MAX_HOPS = 5  # redirects of one request
SILENCE = 2.0  # seconds that a server may say nothing, before the others are asked who leads
LOOKS = 1.0  # seconds between two such questions
LOOK_TIMEOUT = 2.5  # seconds that an answer to one may take
SELF_TIMEOUT = 0.4  # seconds in which a server answers that has not been stopped
CONNECTING = 5.0  # seconds that a connection may take
STALLED = 30.0  # seconds without a byte in the middle of a request or an answer
LARGE = 1 << 16  # bytes of a body that is only sent to who leads
STATUS = "/v1/status"
TELL_AFTER = 1.0  # seconds of silence, before a person is told what is waited for
LONG_POLL = 60.0  # seconds; the longest that the server waits on purpose

T = TypeVar("T")


@dataclass(frozen=True)
class Round:
    """A round that is made and published: what there is to train and to evaluate on.

    >>> Round("parts-first", 2, dataset="parts-first@2", eval_dataset="parts-first.eval@2").dataset
    'parts-first@2'
    """

    campaign: str
    number: int
    """From 1."""
    dataset: str = ""
    """The training version, which holds the rounds up to this one; empty for a campaign that makes none."""
    eval_dataset: str = ""
    """This round's own evaluation version; empty for a campaign that makes none."""


class Client:
    """Speaks to a server, or to a cluster, and may be shared between threads and processes.

    ``server`` is a URL, or those of a cluster's nodes with commas between them: whichever leads is found, and
    remembered. Left out it is that of the environment variable ``HONE_SERVER``, else ``http://127.0.0.1:7070``. A
    request that meets no server, or none that can answer now, is sent again with growing, jittered pauses for
    ``patience`` seconds; then it is an :class:`Unavailable` that names each server and what was wrong with it.
    Everything that the server refuses is a :class:`HoneError`. Proxies of the environment are not used.

    >>> client = hone.Client()                                    # doctest: +SKIP
    >>> client.status()["role"]                                   # doctest: +SKIP
    'leader'
    """

    def __init__(self, server: str | None = None, *, patience: float = 30.0) -> None:
        self._servers = Servers(server or os.environ.get("HONE_SERVER") or "")
        self.server = str(self._servers)
        self.patience = patience

    def __repr__(self) -> str:
        return f"hone.Client({self.server!r})"

    def status(self) -> dict[str, Any]:
        """How the server, its campaigns and its workers are.

        >>> [worker["name"] for worker in client.status()["workers"]]          # doctest: +SKIP
        ['gpu-1']
        """
        status: dict[str, Any] = self.get(STATUS)
        return status

    def campaign(self, name: str) -> dict[str, Any]:
        """A campaign with its accounting, as ``hone campaign show`` shows it.

        >>> client.campaign("parts-first")["committed"]                         # doctest: +SKIP
        1500
        """
        campaign: dict[str, Any] = self.get(f"/v1/campaigns/{quote(name, safe='')}")
        return campaign

    def sql(self, query: str, *, at_least: int = 0) -> list[dict[str, Any]]:
        """The rows that answer a question about outcomes and samples, one dict per row.

        With ``at_least`` the answer has seen that sequence. More rows than the server gives in one answer are an
        error: aggregate, or page with limit and offset.

        >>> client.sql("select light, avg(correct::int) as accuracy from parts.outcomes group by all")  # doctest: +SKIP
        [{'light': 'low', 'accuracy': 0.61}, {'light': 'day', 'accuracy': 0.93}]
        """
        body: dict[str, Any] = {"query": query}
        if at_least:
            body["at_least"] = at_least
        table = self.post("/v1/sql", body)
        if table.get("truncated"):
            raise HoneError(f"there are more rows than the {len(table['rows'])} of one answer: aggregate, or page")
        return [dict(zip(table["columns"], row)) for row in table["rows"]]

    def sealed(self, model: str) -> bool:
        """Whether a model version, ``LINE@VERSION``, is sealed: its outcomes are complete.

        >>> client.sealed("detector@7")                                         # doctest: +SKIP
        False
        """
        line, _, version = model.partition("@")
        models = self.get("/v1/models")["models"] or []
        return any(m["model_line"] == line and m["version"] == version and m["sealed"] for m in models)

    def wait_for_round(self, campaign: str, number: int, *, timeout: float | None = None) -> Round:
        """Waits until a round is made and published, for ``timeout`` seconds or as long as it takes.

        A round that cannot come any more (the campaign is closed, or done after an earlier round) and one that has
        not come in time are a :class:`HoneError`.

        >>> client.wait_for_round("parts-first", 1).dataset                     # doctest: +SKIP
        'parts-first@1'
        """
        round = self._round(campaign, number, timeout)
        if round is None:
            raise HoneError(f"round {number} of campaign {campaign} will not come: {self._end(campaign)}")
        return round

    def rounds(self, campaign: str, *, start: int = 1) -> Iterator[Round]:
        """Every round of a campaign from ``start`` on, each as soon as it is published, until the campaign ends.

        This is the outer loop of a training job:

        >>> for round in client.rounds("parts-first"):                          # doctest: +SKIP
        ...     model = train(hone.dataset(round.dataset))
        """
        number = start
        while (round := self._round(campaign, number, None)) is not None:
            yield round
            number += 1

    def _round(self, campaign: str, number: int, timeout: float | None) -> Round | None:
        """The published round, or None if it cannot come any more."""
        if number < 1:
            raise HoneError(f"round {number} is none: rounds are counted from 1")
        path = f"/v1/campaigns/{quote(campaign, safe='')}/rounds/{number}"
        deadline = None if timeout is None else time.monotonic() + timeout
        wait, ended = 0.0, False  # a campaign that has ended is not waited for
        while True:
            try:
                answer = self.get(path, {"wait": f"{int(wait * 1000)}ms"})
                if answer["state"] == "published":
                    return Round(campaign, number, answer.get("dataset", ""), answer.get("eval_dataset", ""))
            except HoneError as error:
                if error.status != 404:
                    raise
            if ended:
                return None
            state = self.campaign(campaign)  # a 404 here is the caller's
            done = state["state"] in ("done", "done_short") and state["round"] < number
            closed = state["state"] == "closed"
            settled = not any(c["pending"] + c["in_flight"] for c in (state, state.get("evaluation") or state))
            ended = done or number > state["rounds"] > 0 or (closed and (settled or state["round"] < number))
            if ended:  # perhaps since the round was published: look once more
                # A closed campaign's last round is published once all is settled; the server knows if it is not.
                wait = LONG_POLL / 2 if closed else 0.0
                continue
            if deadline is not None and time.monotonic() >= deadline:
                waiting = f"; it waits for {state['waiting']}" if state.get("waiting") else ""
                raise Unavailable(
                    f"round {number} of campaign {campaign} is not published after {timeout:g} s: "
                    f"it is {state['state']} in round {state['round']}{waiting}"
                )
            wait = LONG_POLL / 2 if deadline is None else min(LONG_POLL / 2, max(0.0, deadline - time.monotonic()))

    def _end(self, campaign: str) -> str:
        state = self.campaign(campaign)
        return f"it is {state['state']} in round {state['round']} of {state['rounds']}"

    def get(self, path: str, query: dict[str, str] | None = None) -> Any:
        """The JSON answer to a GET of any path of the API; ``/docs`` of the server lists them.

        >>> client.get("/v1/spaces")                                            # doctest: +SKIP
        {'spaces': [{'name': 'parts', ...}]}
        """
        return self._json("GET", path, query, None)

    def post(self, path: str, body: Any) -> Any:
        """The JSON answer to a POST of a JSON body to any path of the API.

        >>> client.post("/v1/sql", {"query": "select 1"})["rows"]               # doctest: +SKIP
        [[1]]
        """
        return self._json("POST", path, None, json.dumps(body).encode())

    def _json(self, method: str, path: str, query: dict[str, str] | None, body: bytes | None) -> Any:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        request = _Request(method, _target(path, query), body, headers)

        def attempt() -> Any:
            connection, answer = self._turn(request)
            try:
                return json.loads(answer.read())
            except (http.client.HTTPException, OSError) as error:
                raise Unavailable(f"{method} {path}: the answer broke off: {error}") from None
            except (ValueError, RecursionError) as error:
                raise HoneError(f"{method} {path}: the answer is not what it should be: {error}") from None
            finally:
                answer.close()
                connection.close()

        return patiently(attempt, self.patience)

    @contextmanager
    def stream(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        patience: float | None = None,
    ) -> Iterator[IO[bytes]]:
        """The body of a good answer, as a file to read from.

        The request is sent again while there is no answer; an answer that breaks off is the caller's to notice.

        >>> with client.stream("GET", "/v1/datasets/parts/1/manifest") as body:  # doctest: +SKIP
        ...     header = body.readline()
        """
        request = _Request(method, _target(path, query), body, headers or {})
        connection, answer = patiently(lambda: self._turn(request), self.patience if patience is None else patience)
        try:
            yield answer
        finally:
            answer.close()
            connection.close()

    def _turn(self, request: _Request) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Asks one server after another, each at most once, until one answers."""
        troubles: dict[str, Unavailable] = {}
        for first in self._servers.turn():
            server, hops = first, 0
            while server and server not in troubles:
                try:
                    if request.body and len(request.body) > LARGE and server != self._servers.leader:
                        # A node that does not lead would hang up in the middle of it.
                        _hang_up(_send(server, WHO_LEADS, self._elsewhere))
                    reached = _send(server, request, self._elsewhere)
                except Unavailable as error:
                    troubles[server] = error
                    self._servers.failed(server)
                    server = error.server if isinstance(error, _Elsewhere) and hops < MAX_HOPS else ""
                    hops += 1
                except HoneError:
                    self._servers.answered(server)
                    raise
                else:
                    self._servers.answered(server)
                    return reached
        hint = "(hone serve starts one; HONE_SERVER names another)"
        status = max(error.status for error in troubles.values())
        if len(troubles) == 1:
            ((only, trouble),) = troubles.items()
            raise trouble if status else Unavailable(f"no server answers at {only}: {trouble.detail} {hint}")
        each = "; ".join(f"{asked}: {trouble.detail}" for asked, trouble in troubles.items())
        raise Unavailable(f"none of the servers can answer: {each}" + ("" if status else " " + hint), status=status)

    def _elsewhere(self, server: str) -> str:
        """Another server that leads, as one says that is asked while this one is silent; or ""."""
        others = [other for other in self._servers.turn() if other != server]
        if not others:
            return ""
        leader = _who_leads(random.choice(others), LOOK_TIMEOUT)
        # It may be this one by another name, which soon answers if it is only busy with the request.
        if leader in ("", server) or _who_leads(server, SELF_TIMEOUT) == server:
            return ""
        return leader


@dataclass(frozen=True)
class _Request:
    method: str
    target: str
    body: bytes | None
    headers: dict[str, str]


WHO_LEADS = _Request("HEAD", STATUS, None, {})  # a node that does not lead says who does


def _who_leads(server: str, timeout: float) -> str:
    """Whom a server takes for the leader, maybe itself; "" if it does not say so in time."""
    try:
        _hang_up(_send(server, WHO_LEADS, timeout=timeout))
    except _Elsewhere as other:
        return other.server
    except HoneError:
        return ""
    return server


def _target(path: str, query: dict[str, str] | None) -> str:
    return path + ("?" + urlencode(query) if query else "")


class _Elsewhere(Unavailable):
    """This server does not lead; another one does."""

    def __init__(self, why: str, server: str) -> None:
        super().__init__(why, status=503)
        self.server = server


def pauses(first: float = 0.1, most: float = MAX_PAUSE) -> Iterator[float]:
    """Pauses between tries, in seconds: doubled up to a bound, and jittered so that clients do not come in step."""
    pause = first
    while True:
        yield pause * random.uniform(0.5, 1.0)
        pause = min(2 * pause, most)


def shorter(pause: float, error: HoneError) -> float:
    """The pause after an error: where there is a server that knows of no leader, there will soon be one."""
    return min(pause, MAX_ELECTION) if error.status else pause


def patiently(attempt: Callable[[], T], patience: float) -> T:
    """What the first attempt brings that is not Unavailable, within so many seconds of pauses."""
    spent = 0.0
    for pause in pauses():
        try:
            return attempt()
        except Unavailable as error:
            wait = shorter(pause, error)
            if spent + wait > patience:
                raise
            if spent <= TELL_AFTER < spent + wait:
                log.warning("%s; trying again for %.0f s", error, patience - spent)
        spent += wait
        time.sleep(wait)
    raise AssertionError("pauses never end")


def _send(
    server: str, request: _Request, elsewhere: Callable[[str], str] | None = None, timeout: float = 2 * LONG_POLL
) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    """Sends a request to one server, once. An answer other than 2xx is a HoneError, none an Unavailable.

    A server that says nothing for so long is gone. While it is silent the others are asked who leads: as soon as it
    is another one, this one is waited for no longer.
    """
    url = urlsplit(server)
    connecting = min(timeout, CONNECTING)
    connection: http.client.HTTPConnection
    if url.scheme == "https":
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(url.hostname or "", url.port, timeout=connecting, context=context)
    else:
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=connecting)
    try:
        connection.connect()
        connection.sock.settimeout(STALLED)
        agent = {"User-Agent": "hone-python", "Connection": "close"}
        connection.request(request.method, url.path + request.target, request.body, {**agent, **request.headers})
        _await(connection, server, elsewhere, timeout)
        answer = connection.getresponse()
        if answer.status // 100 == 2:
            return connection, answer
        text = answer.read(1 << 20)
    except _Elsewhere:
        connection.close()
        raise
    except ssl.SSLCertVerificationError as error:
        connection.close()
        raise HoneError(f"the server at {url.netloc} is not trusted: {error}") from None
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        raise Unavailable(str(error) or type(error).__name__) from None
    connection.close()
    if answer.status in (307, 308):
        leader = redirected(server, request.target, answer.getheader("Location") or "")
        raise _Elsewhere(f"it names {leader} as the leader", leader)
    raise problem(answer.status, answer.getheader("Content-Type") or "", text)


def _await(
    connection: http.client.HTTPConnection, server: str, elsewhere: Callable[[str], str] | None, timeout: float
) -> None:
    """Waits until there is an answer to be read."""
    end = time.monotonic() + timeout
    wait = SILENCE if elsewhere else timeout
    with selectors.DefaultSelector() as selector:
        selector.register(connection.sock, selectors.EVENT_READ)
        while not selector.select(min(wait, end - time.monotonic())):
            if time.monotonic() >= end:
                raise TimeoutError(f"no answer in {timeout:g} s")
            if elsewhere and (leader := elsewhere(server)):
                raise _Elsewhere(f"it is silent, and {leader} leads", leader)
            wait = LOOKS * random.uniform(0.5, 1.0)


def _hang_up(reached: tuple[http.client.HTTPConnection, http.client.HTTPResponse]) -> None:
    for one in reversed(reached):
        one.close()
