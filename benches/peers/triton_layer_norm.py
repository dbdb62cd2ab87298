"""LayerNorm and RmsNorm forward in Triton, in the manner of its tutorial: one program per row, the row in registers
where it fits. `triton_layer_norm.py CASES.json OUT.json`, or `--check`, which runs tiny shapes in Triton's interpreter.
"""

import os
import sys

if "--check" in sys.argv:
    os.environ["TRITON_INTERPRET"] = "1"

import torch
import triton
import triton.language as tl

from common import EPS, check, options, report, say, values
from torch_norms import forwards, milliseconds

# 64 KiB of f32 is the longest row that a program keeps in registers.
LONGEST_HELD = 16384


@triton.jit
def held_row(x, y, weight, bias, columns, eps, CENTERED: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    mask = at < columns
    value = tl.load(x + row * columns + at, mask=mask, other=0.0)
    mean = tl.sum(value, axis=0) / columns if CENTERED else 0.0
    deviation = tl.where(mask, value - mean, 0.0)
    scale = 1.0 / tl.sqrt(tl.sum(deviation * deviation, axis=0) / columns + eps)
    result = deviation * scale * tl.load(weight + at, mask=mask)
    if CENTERED:
        result += tl.load(bias + at, mask=mask)
    tl.store(y + row * columns + at, result, mask=mask)


@triton.jit
def long_row(x, y, weight, bias, columns, eps, CENTERED: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    total = tl.zeros([BLOCK], tl.float32)
    mean = 0.0
    if CENTERED:
        for first in range(0, columns, BLOCK):
            at = first + tl.arange(0, BLOCK)
            total += tl.load(x + row * columns + at, mask=at < columns, other=0.0)
        mean = tl.sum(total, axis=0) / columns
    squares = tl.zeros([BLOCK], tl.float32)
    for first in range(0, columns, BLOCK):
        at = first + tl.arange(0, BLOCK)
        mask = at < columns
        deviation = tl.where(mask, tl.load(x + row * columns + at, mask=mask, other=0.0) - mean, 0.0)
        squares += deviation * deviation
    scale = 1.0 / tl.sqrt(tl.sum(squares, axis=0) / columns + eps)
    for first in range(0, columns, BLOCK):
        at = first + tl.arange(0, BLOCK)
        mask = at < columns
        result = (tl.load(x + row * columns + at, mask=mask) - mean) * scale * tl.load(weight + at, mask=mask)
        if CENTERED:
            result += tl.load(bias + at, mask=mask)
        tl.store(y + row * columns + at, result, mask=mask)


def forward(case, x, weight, bias):
    """A new output, as torch's layers make one."""
    columns = weight.numel()
    y = torch.empty_like(x)
    kernel, block = (held_row, triton.next_power_of_2(columns)) if columns <= LONGEST_HELD else (long_row, 8192)
    warps = min(max(block // 256, 1), 16)
    kernel[(x.numel() // columns,)](x, y, weight, bias, columns, EPS, case["norm"] == "layer", block, num_warps=warps)
    return y


def parameters(case, device):
    return torch.ones(case["normalized"], device=device), torch.zeros(case["normalized"], device=device)


def interpreted():
    for norm in ("layer", "rms"):
        for shape in ([3, 5], [2, 1024], [2, 3, 7], [2, LONGEST_HELD + 7]):
            case = {"id": norm, "norm": norm, "shape": shape, "normalized": shape[1:]}
            x = values(shape)
            check(case, {"x": x}, forward(case, torch.from_numpy(x), *parameters(case, "cpu")).numpy())
    say("the kernels agree with float64")


def main():
    if "--check" in sys.argv:
        return interpreted()
    given = options()
    rows = []
    if not torch.cuda.is_available():
        say("triton left out: no CUDA device")
        return report(given.out, "Triton", triton.__version__, "none", rows)
    for case in given.cases:
        if case["norm"] not in ("layer", "rms"):
            continue
        weight, bias = parameters(case, "cuda")
        try:
            median = milliseconds(forwards(case, lambda x: forward(case, x, weight, bias)), given.runs)
        except Exception as error:  # what this GPU's Triton cannot do must not lose the other cases
            say(f"triton {case['id']} left out: {type(error).__name__}: {str(error)[:200]}")
            continue
        rows.append({"id": case["id"], "variant": "tutorial", "milliseconds": median})
        say(f"triton {case['id']} {median:.3f} ms")
    report(given.out, "Triton", triton.__version__, torch.cuda.get_device_name(), rows, clock="gpu")


if __name__ == "__main__":
    main()
