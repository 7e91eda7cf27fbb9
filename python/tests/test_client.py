"""The client: rounds, questions, and what errors say."""

from __future__ import annotations

import json
import random

import pytest

import hone
from hone.errors import problem
from proxy import proxy
from servers import Server


def test_status_campaign_and_sql(server: Server) -> None:
    client = server.client
    assert client.status()["role"] == "leader"
    assert client.campaign("made")["committed"] == 1200
    found = client.sql(
        "select split, count(*) as n from shapes.samples where campaign = 'made' group by all order by n",
        at_least=client.status()["sequence"],
    )
    assert found == [{"split": "evaluation", "n": 100}, {"split": "train", "n": 1200}]
    with pytest.raises(hone.HoneError, match="page"):
        client.sql("select * from range(100000)")
    with pytest.raises(hone.HoneError, match="nowhere"):
        client.sql("select * from nowhere")


def test_server_of_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HONE_SERVER", f"127.0.0.1:{server.port}/")
    assert hone.Client().server == server.url
    assert hone.Client().status()["role"] == "leader"
    monkeypatch.delenv("HONE_SERVER")
    assert hone.Client().server == "http://127.0.0.1:7070"


def test_waiting_for_rounds(server: Server) -> None:
    client = server.client
    server.campaign("waiting", line="waiter", samples=200, rounds=2)
    first = client.wait_for_round("waiting", 1, timeout=60)
    assert first == hone.Round("waiting", 1, "waiting@1", "waiting.eval@1")
    with pytest.raises(hone.Unavailable, match="round 2 of campaign waiting is not published after"):
        client.wait_for_round("waiting", 2, timeout=0.1)
    with pytest.raises(hone.HoneError, match="will not come"):
        client.wait_for_round("waiting", 3, timeout=60)
    seen = []
    for round in client.rounds("waiting"):
        seen.append(round.number)
        with hone.Run(server.url, space="shapes", model=f"waiter@{round.number}", eval_set=round.eval_dataset) as run:
            run.log({"sample": s, "correct": True} for s in hone.dataset(round.eval_dataset, server=server.url))
    assert seen == [1, 2]
    with pytest.raises(hone.HoneError, match="nope") as error:
        next(client.rounds("nope"))
    assert error.value.status == 404


def test_a_closed_campaign_has_no_more_rounds(server: Server) -> None:
    server.campaign("closing", line="closer", samples=200, rounds=2)
    server.hone("campaign", "close", "closing", "--reason", "a test")
    assert [round.number for round in server.client.rounds("closing", start=2)] == []


def test_the_last_round_of_a_closed_campaign(server: Server) -> None:
    client = server.client
    server.campaign("ending", line="ender", samples=20_000, rounds=2)
    while client.campaign("ending")["committed"] == 0:
        pass
    server.hone("campaign", "close", "ending")
    assert [round.dataset for round in client.rounds("ending")] == ["ending@1"]


def test_a_question_is_asked_again_while_nobody_answers(server: Server) -> None:
    with proxy(server.port, lambda n, answer: b"" if n < 2 else answer) as network:
        assert hone.Client(network.url).status()["role"] == "leader"
    with pytest.raises(hone.Unavailable, match=r"no server answers at http://127\.0\.0\.1:9"):
        hone.Client("127.0.0.1:9", patience=0.2).status()


def test_an_answer_that_is_no_json(server: Server) -> None:
    with (
        proxy(server.port, lambda _, __: b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n<a>") as network,
        pytest.raises(hone.HoneError, match="not what it should be"),
    ):
        hone.Client(network.url).status()


def test_a_request_follows_the_leader(server: Server) -> None:
    moved = f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {server.url}/v1/sql\r\nContent-Length: 0\r\n\r\n".encode()
    with proxy(server.port, lambda _, __: moved) as network:
        assert hone.Client(network.url).sql("select 7 as n") == [{"n": 7}]


def test_problem_documents() -> None:
    document = {
        "title": "Unprocessable Entity",
        "status": 422,
        "detail": "nothing of the post was counted: 2 mistakes",
        "errors": [
            {
                "location": "row 1, column light",
                "message": '"lo" is not a level (of three (3)) (did you mean "low" (dim)?)',
            },
            {"location": "query.model", "message": "no model(version)"},
            {"message": "alone"},
        ],
    }
    error = problem(422, "application/problem+json", json.dumps(document).encode())
    assert (error.status, error.field) == (422, "row 1, column light")
    assert error.problem == '"lo" is not a level (of three (3))'
    assert error.remedy == 'did you mean "low" (dim)?'
    assert [str(m) for m in error.mistakes][1:] == ["query.model: no model(version)", "alone"]
    assert str(error).splitlines()[0] == document["detail"]
    assert type(problem(503, "", b"")) is hone.Unavailable


def test_any_answer_is_an_error_of_ours() -> None:
    rng = random.Random(0)
    for kind in ("application/json", "text/html"):
        for body in (
            b"",
            b"null",
            b"[1]",
            b'{"errors":7,"detail":[]}',
            b'{"errors":[7,{}]}',
            b"[" * 100_000,
            b"x" * 1000,
        ):
            assert 0 < len(str(problem(500, kind, body))) < 300
    for _ in range(500):
        assert str(problem(500, "application/json", rng.randbytes(rng.randrange(50))))
