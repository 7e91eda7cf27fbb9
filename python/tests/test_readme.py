"""What the README shows is there."""

from __future__ import annotations

import ast
import re

import pytest

import hone
from servers import ROOT

BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "python" / "README.md").read_text(), re.DOTALL)


def test_there_are_snippets() -> None:
    assert len(BLOCKS) == 3


@pytest.mark.parametrize("block", BLOCKS)
def test_a_snippet_uses_what_there_is(block: str) -> None:
    attributes = [node for node in ast.walk(ast.parse(block)) if isinstance(node, ast.Attribute)]
    names = [node.attr for node in attributes if ast.unparse(node.value) == "hone"]
    assert names
    for name in names:
        assert name in hone.__all__


def test_the_gate_of_the_readme_judges() -> None:
    scope = {"__name__": "snippet", "sharpness": lambda image: len(image) / 10}
    exec(BLOCKS[2], scope)
    gate = scope["sharp"]
    assert isinstance(gate, hone.Gate)
    verdict = gate(hone.Candidate(index=0, members={"image.png": b""}))
    assert isinstance(verdict, hone.Verdict)
    assert verdict.reason == "blurred: sharpness 0.00, at least 0.1 is needed"
