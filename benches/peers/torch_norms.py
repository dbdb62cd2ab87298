"""PyTorch, eager and compiled, on CUDA where there is one, else on the CPU: `torch_norms.py CASES.json OUT.json`.

Forward only. On CUDA the time is that of CUDA events around calls that take turns over enough tensors to pass the L2
four times, with a device-to-device copy of the same bytes beside it; on the CPU it is the wall's. Medians.
"""

import time

import torch

from common import EPS, cases_and_output, check, report, say, values

ROTATION_BYTES = 256 << 20
MOST_PAIRS = 16


def layer(case, device):
    shape, norm = case["shape"], case["norm"]
    if norm == "layer":
        made = torch.nn.LayerNorm(case["normalized"], eps=EPS)
    elif norm == "rms":
        made = torch.nn.RMSNorm(case["normalized"], eps=EPS)
    elif norm == "group":
        made = torch.nn.GroupNorm(case["groups"], shape[1], eps=EPS)
    elif norm == "instance":
        made = {3: torch.nn.InstanceNorm1d, 4: torch.nn.InstanceNorm2d}[len(shape)](shape[1], eps=EPS, affine=True)
    elif norm == "batch":
        kinds = {2: torch.nn.BatchNorm1d, 3: torch.nn.BatchNorm1d, 4: torch.nn.BatchNorm2d}
        made = kinds[len(shape)](shape[1], eps=EPS)
    else:
        made = SwitchableNorm(shape[1])
    return made.to(device).train(case["training"])


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


def timed(run, tensors, cuda):
    """Milliseconds of one call of `run`, which is called on each of `tensors` in turn."""
    if not cuda:
        start = time.perf_counter()
        for x in tensors:
            run(x)
        return (time.perf_counter() - start) * 1e3 / len(tensors)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for x in tensors:
        run(x)
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / len(tensors)


def main():
    cases, out, runs = cases_and_output()
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    name = torch.cuda.get_device_name() if cuda else f"CPU ({torch.get_num_threads()} threads)"
    torch.backends.cudnn.benchmark = True
    mode = "max-autotune-no-cudagraphs" if cuda else None
    rows = []
    for number, case in enumerate(cases):
        x = values(case["shape"])
        copies = min(MOST_PAIRS, -(-ROTATION_BYTES // (2 * x.nbytes))) if cuda else 1
        tensors = [torch.from_numpy(x).to(device) for _ in range(copies)]
        for variant in ["eager", "compiled"] + ["copy"] * cuda:
            try:
                with torch.no_grad():
                    torch._dynamo.reset()
                    run = torch.empty_like(tensors[0]).copy_ if variant == "copy" else layer(case, device)
                    if variant == "compiled":
                        run = torch.compile(run, mode=mode)
                    if variant != "copy":
                        check(case, x, run(tensors[0]).cpu().numpy())
                    for _ in range(2):
                        timed(run, tensors, cuda)
                    times = sorted(timed(run, tensors, cuda) for _ in range(runs))
                rows.append({"id": case["id"], "variant": variant, "milliseconds": times[len(times) // 2]})
                say(f"torch {number + 1}/{len(cases)} {case['id']} {variant} {times[len(times) // 2]:.3f} ms")
            except Exception as error:  # a variant that a machine lacks, such as one without a C++ compiler
                say(f"torch {case['id']} {variant} left out: {type(error).__name__}: {str(error).splitlines()[0]}")
    report(out, "PyTorch", torch.__version__, name, rows)


if __name__ == "__main__":
    main()
