"""Runs the package sliceline on a table, for `bench decision --part search`.

Prints the milliseconds that its search took, then its scores, the best first.
The table has no header: the error of each row, then a level, from 1, per factor.
"""

import sys
import time

import numpy as np
from sliceline.slicefinder import Slicefinder


def main() -> None:
    path, alpha, support, top, depth = sys.argv[1:]
    table = np.loadtxt(path, delimiter=",")
    finder = Slicefinder(
        alpha=float(alpha), k=int(top), max_l=int(depth), min_sup=int(support), verbose=False
    )
    best = None
    for _ in range(3):
        start = time.perf_counter()
        finder.fit(table[:, 1:].astype(int), table[:, 0])
        took = time.perf_counter() - start
        best = took if best is None else min(best, took)
    print(1000 * best)
    for statistics in finder.top_slices_statistics_:
        print(repr(float(statistics["slice_score"])))


if __name__ == "__main__":
    main()
