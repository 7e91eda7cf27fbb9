"""A generator: draws a machine part under the conditions that Hone asks for.

    hone work --generator-cmd parts="python3 examples/python/generator.py"

Everything random comes from the sample's own seed, and only additions, products and square roots are made of it: the
same seed gives the same bytes on any machine.
"""

from __future__ import annotations

from typing import Any

import hone
from picture import SIZE, Picture, to_png

LIGHT = {"day": 0.55, "dusk": 0.35, "low": 0.22}
"""How much brighter than the background a part is."""


@hone.generator(version="1", outputs=["image.png", "label.json"], deterministic=True)
def make(draft: hone.Draft) -> dict[str, Any]:
    """A picture, and which part it shows."""
    picture = render(draft)
    # As with real cameras, now and then a frame is lost; the gate sends it back.
    if draft.rng.random() < 0.02:
        picture = [0.2] * len(picture)
    return {"image.png": to_png(picture), "label.json": {"part": draft.scenario["part"]}}


def render(draft: hone.Draft) -> Picture:
    """The picture that the scenario and the seed say."""
    scenario, rng = draft.scenario, draft.rng
    radius = 4.6 / scenario["distance"]
    x0, y0 = SIZE / 2 + rng.uniform(-0.4, 0.4), SIZE / 2 + rng.uniform(-0.4, 0.4)
    contrast = LIGHT[scenario["light"]]
    metal = scenario["background"] == "metal"
    glint = rng.uniform(0.6, 1.2) if metal and scenario["light"] == "low" else 0.0
    picture = []
    for y in range(SIZE):
        streak = rng.uniform(0, 0.08) if metal else 0.0  # brushed metal has lines
        for x in range(SIZE):
            dx, dy = x + 0.5 - x0, y + 0.5 - y0
            shade = 0.2 + streak + rng.uniform(-0.05, 0.05)
            if covers(scenario["part"], dx, dy, radius):
                shade += contrast
            # In the dark the camera's own lamp shines back from metal, brightest in the middle: where a nut and a
            # washer have their hole, and a bolt has none.
            shade += glint * max(0.0, 1 - (dx * dx + dy * dy) / 6)
            if scenario["hand"] == "holding" and (dx > 3.2 if scenario["hand_side"] == "right" else dx < -3.2):
                shade = 0.45
            picture.append(shade)
    return picture


def covers(part: str, dx: float, dy: float, radius: float) -> bool:
    """Whether the part covers a point that lies so far from its centre."""
    distance: float = (dx * dx + dy * dy) ** 0.5
    if part == "washer":  # round, with a round hole
        return 0.4 * radius <= distance <= radius
    if part == "nut":  # with six straight sides, and a hole
        side = max(abs(dy), abs(0.866 * dx + 0.5 * dy), abs(0.866 * dx - 0.5 * dy))
        return distance >= 0.4 * radius and side <= 0.8 * radius
    return distance <= 0.55 * radius or (abs(dx) <= 0.25 * radius and 0 <= dy <= radius)  # a head on a shaft


if __name__ == "__main__":
    hone.serve(make)
