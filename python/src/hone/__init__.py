"""Hone from Python: post outcomes, read datasets, write generators and gates.

Post how a model did, and never break its training:

>>> with hone.Run(space="parts", model="detector@7") as run:                    # doctest: +SKIP
...     run.log({"sample": sample, "correct": True, "loss": 0.1})

Read what was made, every byte checked:

>>> for sample in hone.dataset("parts-first@1").shuffle(seed=0):                # doctest: +SKIP
...     learn(sample.members["image.png"], weight=sample.importance_weight)

Make samples; this module is then a generator, run by ``hone work --generator-cmd parts="python3 make.py"``:

>>> @hone.generator(version="1", outputs=["image.png", "label.json"])           # doctest: +SKIP
... def make(draft):
...     return {"image.png": render(draft.scenario, draft.rng), "label.json": {"light": draft.scenario["light"]}}
>>> if __name__ == "__main__":                                                  # doctest: +SKIP
...     hone.serve(make)

It needs nothing but Python's standard library. It logs to the logger ``hone``.
"""

from .client import Client, Round
from .dataset import Dataset, Row, Sample, dataset
from .errors import HoneError, Mistake, Unavailable
from .program import Candidate, Draft, Gate, Generator, Verdict, gate, generator, serve
from .run import Run

__version__ = "0.1.0"

__all__ = [
    "Candidate",
    "Client",
    "Dataset",
    "Draft",
    "Gate",
    "Generator",
    "HoneError",
    "Mistake",
    "Round",
    "Row",
    "Run",
    "Sample",
    "Unavailable",
    "Verdict",
    "dataset",
    "gate",
    "generator",
    "serve",
]
