"""A training job: learns from every round as it is published, and posts what it gets wrong.

    python3 examples/python/train.py parts-first

The learner is a softmax regression on pixels, in plain Python, trained by stochastic gradient descent on a loss in
which each sample counts by its importance weight: so it is trained for deployment, whatever was made more often. Put
your own model in the place of Model, and keep main.

It may be killed and started again: everything in it follows from seeds, versions that are sealed are left alone, and
rows that were posted before count once.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from operator import mul

import hone
from picture import PARTS, Picture, from_png

PASSES = 40
RATE = 0.15


class Model:
    """One linear score per part, over the pixels and a constant."""

    def __init__(self, pixels: int) -> None:
        self.weights = [[0.0] * (pixels + 1) for _ in PARTS]

    def chances(self, picture: Picture) -> list[float]:
        """How likely each part is."""
        scores = [sum(map(mul, w, picture)) + w[-1] for w in self.weights]
        odds = [math.exp(score - max(scores)) for score in scores]
        return [o / sum(odds) for o in odds]

    def learn(self, picture: Picture, part: int, step: float) -> None:
        """Moves a step down the slope of the loss on one picture."""
        extended = [*picture, 1.0]
        for p, chance in enumerate(self.chances(picture)):
            slope = step * (chance - (p == part))
            self.weights[p] = [w - slope * x for w, x in zip(self.weights[p], extended)]


def read(sample: hone.Sample) -> tuple[Picture, int]:
    """A sample's picture, around its own mean, and its part."""
    picture = from_png(sample.members["image.png"])
    mean = sum(picture) / len(picture)
    return [p - mean for p in picture], PARTS.index(json.loads(sample.members["label.json"])["part"])


def train(data: hone.Dataset) -> Model:
    """A model of a dataset version, from nothing."""
    samples = [(*read(sample), sample.importance_weight) for sample in data]
    model, order = Model(len(samples[0][0])), random.Random(data.version)
    for number in range(PASSES):
        order.shuffle(samples)
        for picture, part, weight in samples:
            model.learn(picture, part, RATE * min(weight, 5.0) * (1 - number / PASSES))
    return model


def evaluate(model: Model, data: hone.Dataset, run: hone.Run) -> float:
    """Posts how the model does on each sample, and returns its accuracy."""
    right = 0
    for sample in data:
        picture, part = read(sample)
        chances = model.chances(picture)
        correct = chances[part] == max(chances)
        right += correct
        run.log({"sample": sample, "correct": correct, "loss": -math.log(max(chances[part], 1e-12))})
    return right / len(data)


def main() -> None:
    arguments = argparse.ArgumentParser(description="Trains on a campaign's rounds until it ends.")
    arguments.add_argument("campaign")
    arguments.add_argument("--line", default="parts-classifier", help="the model line that the campaign learns from")
    given = arguments.parse_args()
    try:
        follow(given.campaign, given.line)
    except hone.HoneError as error:  # its words are enough: there is no such campaign, no server answers
        raise SystemExit(f"train.py: {error}") from None


def follow(campaign: str, line: str) -> None:
    """Trains on each round of the campaign as it is published."""
    client = hone.Client()  # HONE_SERVER says where
    space = client.campaign(campaign)["space"].partition("@")[0]
    for round in client.rounds(campaign):
        version = f"{line}@{round.number}"
        if client.sealed(version):
            continue
        data = hone.dataset(round.dataset, client=client)
        model = train(data)
        # Leaving the block seals the version, and the next round is decided.
        with hone.Run(space=space, model=version, eval_set=round.eval_dataset, run="train.py", client=client) as run:
            accuracy = evaluate(model, hone.dataset(round.eval_dataset, client=client), run)
        print(f"round {round.number}: {len(data)} samples, accuracy {accuracy:.3f} on {round.eval_dataset}", flush=True)


if __name__ == "__main__":
    main()
