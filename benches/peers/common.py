"""What the Python peers share: cases, inputs, the check against float64, and the report."""

import json
import sys

import numpy as np

EPS = 1e-5


def cases_and_output():
    """The cases, the report's file and the number of runs, from `PEER CASES.json OUT.json [--runs N]`."""
    args = sys.argv[1:]
    if len(args) not in (2, 4) or len(args) == 4 and args[2] != "--runs":
        sys.exit(f"usage: {sys.argv[0]} CASES.json OUT.json [--runs N]")
    with open(args[0]) as file:
        return json.load(file), args[1], int(args[3]) if len(args) == 4 else 9


def values(shape):
    """Around a mean of 3 with a deviation of about 2."""
    return np.random.default_rng(1).normal(3.0, 2.0, shape).astype(np.float32)


def view(case):
    """The input as [N, C, S]; of layer and RMS norm as [rows, 1, normalized]."""
    shape = case["shape"]
    if case["normalized"]:
        return -1, 1, int(np.prod(case["normalized"]))
    return shape[0], shape[1], int(np.prod(shape[2:]))


def expected(case, x, n, c):
    """float64 outputs of the instance (n, c): what a new layer gives."""
    x = x.reshape(view(case))
    samples, channels, _ = x.shape
    f64 = lambda part: part.astype(np.float64)
    row = f64(x[n, c])

    def moments(part):
        return f64(part).mean(), f64(part).var()

    if not case["training"]:
        mean, var = 0.0, 1.0
    elif case["norm"] == "rms":
        mean, var = 0.0, (row**2).mean()
    elif case["norm"] == "batch":
        mean, var = moments(x[:, c])
    elif case["norm"] == "group":
        size = channels // case["groups"]
        first = c // size * size
        mean, var = moments(x[n, first : first + size])
    elif case["norm"] == "switchable":
        three = [moments(x[n, c]), moments(x[n]), moments(x[:, c])]
        mean, var = np.mean([m for m, _ in three]), np.mean([v for _, v in three])
    else:
        mean, var = moments(row)
    return (row - mean) / np.sqrt(var + EPS)


def check(case, x, y):
    """Fails if a few instances of `y` are not those of `case`."""
    found = y.reshape(view(case))
    samples, channels, _ = found.shape
    for n, c in [(0, 0), (samples // 2, channels // 2), (samples - 1, channels - 1)]:
        error = np.abs(found[n, c] - expected(case, x, n, c)).max()
        assert error < 1e-3, f"{case['id']}: instance ({n}, {c}) is off by {error}"


def report(path, peer, version, device, rows):
    with open(path, "w") as file:
        json.dump({"peer": peer, "version": version, "device": device, "rows": rows}, file, indent=2)


def say(*words):
    print(*words, file=sys.stderr, flush=True)
