"""What the Python peers share: cases, inputs, the check against float64, and the report."""

import argparse
import json
import sys

import numpy as np

EPS = 1e-5


def options():
    """`PEER CASES.json OUT.json [--backward] [--runs N] [WORD ...]`, `cases` being those that are called so."""
    parser = argparse.ArgumentParser()
    parser.add_argument("cases")
    parser.add_argument("out")
    parser.add_argument("--backward", action="store_true", help="time backward passes instead of forwards")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("words", nargs="*", help="only cases whose name or id contains one of them")
    given = parser.parse_intermixed_args()
    words = [word.lower() for word in given.words]
    named = lambda case, word: word in case["id"] or word in case["name"].lower()
    with open(given.cases) as file:
        given.cases = [case for case in json.load(file) if not words or any(named(case, word) for word in words)]
    return given


def values(shape, seed=1):
    """Around a mean of 3 with a deviation of 2."""
    return np.random.default_rng(seed).normal(3.0, 2.0, shape).astype(np.float32)


def inputs(case):
    """x, and what stands beside the norm: `a` is added before, `scale` and `shift` come after the norm, then `c` is added."""
    shape = case["shape"]
    by_sample = shape[:1] + (case["normalized"] or shape[1:2])
    shapes = {"x": shape}
    if case.get("add_before"):
        shapes["a"] = shape if case["add_before"] == "input" else by_sample
    if case.get("modulation"):
        shapes |= {"scale": by_sample, "shift": by_sample}
    if case.get("add_after"):
        shapes["c"] = shape
    return {name: values(shape, seed) for seed, (name, shape) in enumerate(shapes.items(), 1)}


def spread(case, tensor):
    """What a sample's channels, or positions, share, so that it broadcasts to the input."""
    if list(tensor.shape) == case["shape"]:
        return tensor
    return tensor[:, None] if case["normalized"] else tensor[(...,) + (None,) * (len(case["shape"]) - 2)]


def view(case):
    """The input as [N, C, S]; of layer and RMS norm as [rows, 1, normalized]."""
    shape = case["shape"]
    if case["normalized"]:
        return -1, 1, int(np.prod(case["normalized"]))
    return shape[0], shape[1], int(np.prod(shape[2:]))


def averages(case):
    """What a new layer's statistics are of: each set's share, and the function that averages [N, C, S] over it."""
    over = lambda *axes: lambda x: x.mean(axes, keepdims=True)
    norm = case["norm"]
    if norm == "switchable":
        return [(1 / 3, over(2)), (1 / 3, over(1, 2)), (1 / 3, over(0, 2))]
    if norm == "batch":
        return [(1, over(0, 2))] if case["training"] else []
    if norm == "group":
        groups = lambda x: x.reshape(len(x), case["groups"], -1).mean(2)
        return [(1, lambda x: np.repeat(groups(x), x.shape[1] // case["groups"], axis=1)[..., None])]
    return [(1, over(2))]


def statistics(case, x):
    """What a new layer normalizes x = [N, C, S] by."""
    mean_of = lambda average: 0.0 if case["norm"] == "rms" else average(x)
    sets = [(share, mean_of(average), average) for share, average in averages(case)]
    if not sets:
        return 0.0, 1.0
    mean = sum(share * mean for share, mean, _ in sets)
    return mean, sum(share * average((x - mean) ** 2) for share, mean, average in sets)


def close(found, expected, what):
    error = np.abs(found - expected).max() / max(1.0, np.abs(expected).max())
    assert error < 1e-3, f"{what} is off by {error}"


def check(case, arrays, y, kept=None):
    """Fails if `y` is not the output of `case` for these inputs, or `kept` not the sum that it normalizes."""
    beside = {name: spread(case, array.astype(np.float64)) for name, array in arrays.items()}
    x = beside["x"] + beside.get("a", 0)
    flat = x.reshape(view(case))
    mean, var = statistics(case, flat)
    expected = ((flat - mean) / np.sqrt(var + EPS)).reshape(x.shape)
    if case.get("modulation"):
        expected = expected * (beside["scale"] + (case["modulation"] == "from one")) + beside["shift"]
    expected = expected + beside.get("c", 0)
    if case.get("activation") == "relu":
        expected = np.maximum(expected, 0)
    elif case.get("activation") == "silu":
        expected = expected / (1 + np.exp(-expected))
    close(y, expected, case["id"])
    if kept is not None:
        close(kept, x, f"{case['id']}: the sum")


def check_gradients(case, x, dy, dx, dweight, dbias):
    """Fails if the gradients are not those of `case`; RMS norm has none by a bias, other layers may have none by a weight either."""
    x, dy, dx = (array.reshape(view(case)).astype(np.float64) for array in (x, dy, dx))
    mean, var = statistics(case, x)
    r = 1 / np.sqrt(var + EPS)
    normalized = (x - mean) * r
    expected = dy * r
    for share, average in averages(case):
        by_var = average(-0.5 * dy * normalized * r**2)
        if case["norm"] == "rms":
            expected += 2 * by_var * x
        else:
            expected += share * (average(-dy * r) + 2 * by_var * (x - average(x)))
    close(dx, expected, f"{case['id']}: the input's gradient")
    axes = 0 if case["normalized"] else (0, 2)
    if dweight is not None:
        close(dweight.ravel(), (dy * normalized).sum(axes).ravel(), f"{case['id']}: the weight's gradient")
    if dbias is not None:
        close(dbias.ravel(), dy.sum(axes).ravel(), f"{case['id']}: the bias's gradient")


def report(path, peer, version, device, rows, clock="wall"):
    """`clock` is "gpu" where the times leave out what the host does."""
    with open(path, "w") as file:
        json.dump({"peer": peer, "version": version, "device": device, "clock": clock, "rows": rows}, file, indent=2)


def say(*words):
    print(*words, file=sys.stderr, flush=True)
