"""What the Python peers share: cases, inputs, the check against float64, and the report."""

import argparse
import json
import sys

import numpy as np

EPS = 1e-5


def cases_and_output():
    """The cases, the report's file and the number of runs, from `PEER CASES.json OUT.json [--runs N] [WORD ...]`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("cases")
    parser.add_argument("out")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("words", nargs="*", help="only cases whose name or id contains each of them")
    given = parser.parse_intermixed_args()
    with open(given.cases) as file:
        cases = json.load(file)
    words = [word.lower() for word in given.words]
    named = lambda case, word: word in case["id"] or word in case["name"].lower()
    return [case for case in cases if all(named(case, word) for word in words)], given.out, given.runs


def values(shape):
    """Around a mean of 3 with a deviation of 2."""
    return np.random.default_rng(1).normal(3.0, 2.0, shape).astype(np.float32)


def view(case):
    """The input as [N, C, S]; of layer and RMS norm as [rows, 1, normalized]."""
    shape = case["shape"]
    if case["normalized"]:
        return -1, 1, int(np.prod(case["normalized"]))
    return shape[0], shape[1], int(np.prod(shape[2:]))


def moments(part):
    part = part.astype(np.float64)
    return part.mean(), part.var()


def statistics(case, x, n, c):
    """What a new layer normalizes the instance (n, c) of x = [N, C, S] by."""
    norm = case["norm"]
    if norm == "rms":
        return 0.0, (x[n, c].astype(np.float64) ** 2).mean()
    if norm == "batch":
        return moments(x[:, c]) if case["training"] else (0.0, 1.0)
    if norm == "group":
        size = x.shape[1] // case["groups"]
        first = c // size * size
        return moments(x[n, first : first + size])
    if norm == "switchable":
        return np.mean([moments(x[n, c]), moments(x[n]), moments(x[:, c])], axis=0)
    return moments(x[n, c])


def check(case, x, y):
    """Fails if the first, the middle or the last instance of `y` is not that of `case`."""
    x, y = x.reshape(view(case)), y.reshape(view(case))
    samples, channels, _ = x.shape
    for n, c in [(0, 0), (samples // 2, channels // 2), (samples - 1, channels - 1)]:
        mean, var = statistics(case, x, n, c)
        error = np.abs(y[n, c] - (x[n, c].astype(np.float64) - mean) / np.sqrt(var + EPS)).max()
        assert error < 1e-3, f"{case['id']}: instance ({n}, {c}) is off by {error}"


def report(path, peer, version, device, rows, clock="wall"):
    """`clock` is "gpu" where the times leave out what the host does."""
    with open(path, "w") as file:
        json.dump({"peer": peer, "version": version, "device": device, "clock": clock, "rows": rows}, file, indent=2)


def say(*words):
    print(*words, file=sys.stderr, flush=True)
