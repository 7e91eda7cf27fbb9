"""Fixtures: a binary, servers that run it, and what the examples in docstrings may take for granted."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import hone
from servers import ROOT, Server


@pytest.fixture(autouse=True)
def _names_in_docstrings(doctest_namespace: dict[str, Any]) -> None:
    doctest_namespace["hone"] = hone


@pytest.fixture(scope="session")
def binary(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The hone binary: HONE_BINARY, or built from this checkout."""
    if named := os.environ.get("HONE_BINARY"):
        return named
    if shutil.which("go") is None:
        pytest.skip("neither HONE_BINARY nor go is there")
    built = str(tmp_path_factory.mktemp("binary") / "hone")
    subprocess.run(["go", "build", "-tags", "duckdb_arrow", "-o", built, "./cmd/hone"], cwd=ROOT, check=True)
    return built


@pytest.fixture(scope="session")
def new_server(binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Server]]:
    """Starts servers that know the space and the policy of the examples."""
    servers: list[Server] = []

    def start() -> Server:
        server = Server(binary, tmp_path_factory.mktemp("server"))
        servers.append(server)
        server.start()
        server.hone("space", "put", "examples/shapes/space.yaml")
        server.hone("policy", "put", "examples/policy.yaml")
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def server(new_server: Callable[[], Server]) -> Server:
    """A server and a worker, with one round of the campaign "made" published."""
    server = new_server()
    server.work()
    server.campaign("made", line="maker", samples=1200)
    server.client.wait_for_round("made", 1, timeout=60)
    return server
