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

from common import EPS, cases_and_output, check, report, say, values
from torch_norms import MOST_PAIRS, ROTATION_BYTES, timed

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
    columns = x.shape[-1]
    rows = x.numel() // columns
    y = torch.empty_like(x)
    kernel, block = (held_row, triton.next_power_of_2(columns)) if columns <= LONGEST_HELD else (long_row, 8192)
    warps = min(max(block // 256, 1), 16)
    kernel[(rows,)](x, y, weight, bias, columns, EPS, case["norm"] == "layer", block, num_warps=warps)
    return y


def parameters(case, device):
    columns = case["shape"][-1]
    return torch.ones(columns, device=device), torch.zeros(columns, device=device)


def interpreted():
    for norm in ("layer", "rms"):
        for shape in ([3, 5], [2, 1024], [2, LONGEST_HELD + 7]):
            case = {"id": norm, "norm": norm, "shape": shape, "normalized": shape[1:], "training": True}
            x = values(shape)
            check(case, x, forward(case, torch.from_numpy(x), *parameters(case, "cpu")).numpy())
    say("the kernels agree with float64")


def main():
    if "--check" in sys.argv:
        return interpreted()
    cases, out, runs = cases_and_output()
    rows = []
    if not torch.cuda.is_available():
        say("triton: no CUDA device, nothing to measure")
        return report(out, "Triton", triton.__version__, "none", rows)
    for case in cases:
        if case["norm"] not in ("layer", "rms"):
            continue
        x = values(case["shape"])
        copies = min(MOST_PAIRS, -(-ROTATION_BYTES // (2 * x.nbytes)))
        tensors = [torch.from_numpy(x).cuda() for _ in range(copies)]
        given = parameters(case, "cuda")
        run = lambda tensor: forward(case, tensor, *given)
        check(case, x, run(tensors[0]).cpu().numpy())
        for _ in range(2):
            timed(run, tensors, True)
        times = sorted(timed(run, tensors, True) for _ in range(runs))
        rows.append({"id": case["id"], "variant": "tutorial", "milliseconds": times[len(times) // 2]})
        say(f"triton {case['id']} {times[len(times) // 2]:.3f} ms")
    report(out, "Triton", triton.__version__, torch.cuda.get_device_name(), rows)


if __name__ == "__main__":
    main()
