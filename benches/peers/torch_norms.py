"""PyTorch, eager and compiled, on CUDA where there is one, else on the CPU: `torch_norms.py CASES.json OUT.json`.

Medians of forwards, or with `--backward` of backwards alone. On CUDA the time is that of CUDA events around calls that
take turns over as many tensors as gpunorm's bench has, with a device-to-device copy of an input beside it; on the CPU
it is the wall's.
"""

import time

import torch
from torch._functorch import config as functorch_config

from common import EPS, check, check_gradients, inputs, options, report, say, spread, values

# More than four times the L2 cache of an H200; tensors of less than 8 MiB stay in it, as they do in gpunorm's bench.
ROTATION_BYTES = 256 << 20
MOST_TURNS = 16
# Calls between two events, whose own resolution is about half a microsecond.
LEAST_CALLS = 20
# Some milliseconds in which the host queues all calls, so that the GPU does not wait for it between them.
PAUSE_CYCLES = 20_000_000


def layer(case, device):
    shape, norm = case["shape"], case["norm"]
    if norm == "layer":
        made = torch.nn.LayerNorm(case["normalized"], eps=EPS, elementwise_affine=case["affine"])
    elif norm == "rms":
        made = torch.nn.RMSNorm(case["normalized"], eps=EPS)
    elif norm == "group":
        made = torch.nn.GroupNorm(case["groups"], shape[1], eps=EPS)
    elif norm == "instance":
        kinds = {3: torch.nn.InstanceNorm1d, 4: torch.nn.InstanceNorm2d}
        made = kinds[len(shape)](shape[1], eps=EPS, affine=case["affine"])
    elif norm == "batch":
        kinds = {2: torch.nn.BatchNorm1d, 3: torch.nn.BatchNorm1d, 4: torch.nn.BatchNorm2d}
        made = kinds[len(shape)](shape[1], eps=EPS)
    else:
        made = SwitchableNorm(shape[1])
    return made.to(device).train(case["training"])


def sequence(case, norm):
    """The layer with what stands beside it, in the order of `common.inputs`; alone, the layer itself."""
    if "activation" not in case:
        return norm
    activation = getattr(torch.nn.functional, case["activation"]) if case["activation"] else lambda y: y

    def run(x, a=None, scale=None, shift=None, c=None):
        h = x if a is None else x + spread(case, a)
        y = norm(h)
        if scale is not None:
            scale = spread(case, scale)
            y = y * (1 + scale if case["modulation"] == "from one" else scale) + spread(case, shift)
        y = activation(y if c is None else y + c)
        return (y, h) if case["keep_sum"] else y

    return run


class SwitchableNorm(torch.nn.Module):
    """Instance, layer and batch statistics from the instance ones, mixed by two softmaxes (Luo et al. 2019)."""

    def __init__(self, channels):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1, channels, 1))
        self.bias = torch.nn.Parameter(torch.zeros(1, channels, 1))
        self.mean_weight = torch.nn.Parameter(torch.ones(3))
        self.var_weight = torch.nn.Parameter(torch.ones(3))
        self.register_buffer("running_mean", torch.zeros(1, channels, 1))
        self.register_buffer("running_var", torch.ones(1, channels, 1))

    def forward(self, x):
        flat = x.flatten(2)
        var, mean = torch.var_mean(flat, 2, correction=0, keepdim=True)

        def over(axis):
            middle = mean.mean(axis, keepdim=True)
            return middle, (var + (mean - middle) ** 2).mean(axis, keepdim=True)

        (layer_mean, layer_var), (batch_mean, batch_var) = over(1), over(0)
        self.running_mean.lerp_(batch_mean, 0.1)
        self.running_var.lerp_(batch_var, 0.1)
        w, u = self.mean_weight.softmax(0), self.var_weight.softmax(0)
        mean = w[0] * mean + w[1] * layer_mean + w[2] * batch_mean
        var = u[0] * var + u[1] * layer_var + u[2] * batch_var
        return ((flat - mean) * torch.rsqrt(var + EPS) * self.weight + self.bias).view_as(x)


def on_device(arrays):
    """Copies of these arrays, by name, as many as gpunorm's bench takes for `len(arrays) + 1` tensors a turn."""
    if not torch.cuda.is_available():
        return [{name: torch.from_numpy(array) for name, array in arrays.items()}]
    turns = min(MOST_TURNS, -(-ROTATION_BYTES // ((len(arrays) + 1) * next(iter(arrays.values())).nbytes)))
    return [{name: torch.from_numpy(array).cuda() for name, array in arrays.items()} for _ in range(turns)]


def milliseconds(calls, runs):
    """The median time of one of `calls`, which take turns."""
    cuda = torch.cuda.is_available()
    # Outputs are held for a turn: freed at once, the next call would get the same memory, still in the cache.
    outputs = [None] * len(calls)

    def turns(count):
        for _ in range(count):
            for i, call in enumerate(calls):
                outputs[i] = call()

    def once():
        if not cuda:
            start = time.perf_counter()
            turns(1)
            return (time.perf_counter() - start) * 1e3
        count = -(-LEAST_CALLS // len(calls))
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda._sleep(PAUSE_CYCLES)
        start.record()
        turns(count)
        end.record()
        torch.cuda.synchronize()
        return start.elapsed_time(end) / (count * len(calls))

    times = [once() for _ in range(runs + 2)][2:]
    return sorted(times)[runs // 2]


def forwards(case, run):
    """A forward for each turn, the first of which has been checked."""
    arrays = inputs(case)
    calls = []
    for turn in on_device(arrays):
        x = turn.pop("x")
        calls.append(lambda x=x, beside=turn: run(x, **beside))
    with torch.no_grad():
        outputs = calls[0]()
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        check(case, arrays, *(output.cpu().numpy() for output in outputs))
    return calls


def backwards(case, run, module):
    """A backward for each turn, the first of which has been checked."""
    arrays = {"x": values(case["shape"]), "dy": values(case["shape"], 2)}
    parameters = list(module.parameters())
    calls = []
    for turn in on_device(arrays):
        y = run(turn["x"].requires_grad_())
        wanted = [turn["x"], *parameters]
        calls.append(lambda y=y, dy=turn["dy"], wanted=wanted: torch.autograd.grad(y, wanted, dy, retain_graph=True))
    names = ["input"] + [name for name, _ in module.named_parameters()]
    found = {name: gradient.cpu().numpy() for name, gradient in zip(names, calls[0]())}
    check_gradients(case, *arrays.values(), found["input"], found.get("weight"), found.get("bias"))
    return calls


def main():
    given = options()
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    name = torch.cuda.get_device_name() if cuda else f"CPU ({torch.get_num_threads()} threads)"
    torch.backends.cudnn.benchmark = True
    functorch_config.donated_buffer = False  # a backward that is run again needs what the forward saved
    mode = "max-autotune-no-cudagraphs" if cuda else None
    rows = []
    for case in given.cases:
        for variant in ["eager", "compiled"] + ["copy"] * cuda:
            try:
                torch.compiler.reset()
                module = layer(case, device)
                run = sequence(case, module)
                if variant == "compiled":
                    run = torch.compile(run, mode=mode)
                if variant == "copy":
                    calls = [lambda x=turn["x"]: x.clone() for turn in on_device({"x": values(case["shape"])})]
                else:
                    calls = backwards(case, run, module) if given.backward else forwards(case, run)
                with torch.no_grad():
                    median = milliseconds(calls, given.runs)
                rows.append({"id": case["id"], "variant": variant, "milliseconds": median})
                say(f"torch {case['id']} {variant} {median:.3f} ms")
            except Exception as error:  # what this machine lacks, such as a C++ compiler
                say(f"torch {case['id']} {variant} left out: {type(error).__name__}: {str(error)[:200]}")
    report(given.out, "PyTorch", torch.__version__, name, rows, clock="gpu" if cuda else "wall")


if __name__ == "__main__":
    main()
