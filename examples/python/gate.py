"""A gate: sends back pictures on which nothing can be seen.

    hone serve --gate-cmd visible="python3 examples/python/gate.py"

A gate lets hard but valid samples pass, or it filters away what the model most needs: the darkest part on brushed metal
still has ten times the contrast that is asked for here.
"""

from __future__ import annotations

import hone
from picture import from_png

LEAST = 0.02


@hone.gate(version="1", scores=["contrast"])
def visible(candidate: hone.Candidate) -> hone.Verdict:
    """The range of brightness must not be nothing."""
    try:
        picture = from_png(candidate.members["image.png"])
    except (KeyError, ValueError) as error:
        return hone.Verdict(False, f"no picture that can be read: {error}")
    contrast = max(picture) - min(picture)
    reason = f"nothing to be seen: contrast {contrast:.2f}, at least {LEAST} is needed"
    return hone.Verdict(contrast >= LEAST, reason if contrast < LEAST else "", {"contrast": contrast})


if __name__ == "__main__":
    hone.serve(visible)
