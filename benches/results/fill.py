"""Fills the tables of BENCHMARKS.md from the reports in this folder, so that no figure is typed by hand.

    python3 benches/results/fill.py

A report is called NAME-DATE.json, and the latest of its name counts. A table stands between `<!-- name -->` and `<!-- /name -->`.
"""

import json
import math
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
DOCUMENT = HERE.parent.parent / "BENCHMARKS.md"

# The least ratio to the copy that a case should reach on llvmpipe.
GOALS = {
    "layer-16384x1024": 0.60,
    "rms-16384x1024": 0.60,
    "layer-4096x4096": 0.60,
    "rms-4096x4096": 0.60,
    "layer-262144x64": 0.45,
    "layer-64x262144": 0.40,
    "group-16x64x112x112": 0.55,
    "instance-16x64x112x112": 0.55,
    "group-1x512x64x64": 0.40,
    "instance-1x64x512x512": 0.40,
    "batch-32x64x112x112": 0.40,
    "batch-65536x256": 0.35,
    "batch-32x64x112x112-evaluation": 0.80,
    "switchable-16x64x112x112": 0.38,
}


def backward_goal(name):
    """The same of a backward, by the bytes that it has to move, for the same cases."""
    return (0.40 if name.startswith(("batch", "switchable")) else 0.45) if name in GOALS else None


def report(name):
    return json.loads(max(HERE.glob(f"{name}-[0-9]*.json")).read_text())


def rows(name):
    return {row["id"]: row for row in report(name)["rows"]}


def markdown(heads, lines):
    rule = ["---"] * 2 + ["---:"] * (len(heads) - 2)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [heads, rule, *lines]) + "\n"


def case(row):
    return [row["case"], "×".join(map(str, row["shape"]))]


def kernels():
    heads = ["case", "shape", "strategy", "dispatches", "copy ms", "GPU ms", "wall ms", "GB/s", "ratio", "goal"]
    lines = []
    for row in rows("llvmpipe").values():
        times = [f"{row[key]:.2f}" for key in ("copy_ms", "gpu_ms", "wall_ms")]
        bandwidth = row["bytes"] / row["gpu_ms"] / 1e6
        goal = GOALS.get(row["id"])
        lines.append(case(row) + [row["strategy"], str(row["dispatches"]), *times, f"{bandwidth:.1f}"])
        lines[-1] += [f"{row['ratio']:.2f}", f"{goal:.2f}" if goal else ""]
    return markdown(heads, lines)


def backward():
    heads = ["case", "shape", "strategy", "dispatches", "floor", "copy ms", "GPU ms", "GB/s", "ratio", "goal"]
    heads += ["recording µs", "CPU ms", "speed-up"]
    lines = []
    for row in rows("llvmpipe-backward").values():
        goal = backward_goal(row["id"])
        cells = [row["strategy"], str(row["dispatches"]), str(row["floor"])]
        cells += [f"{row[key]:.2f}" for key in ("copy_ms", "gpu_ms")]
        cells += [f"{row['bytes'] / row['gpu_ms'] / 1e6:.1f}", f"{row['ratio']:.2f}", f"{goal:.2f}" if goal else ""]
        cells += [f"{row['host_us']:.2f}", f"{row['cpu_ms']:.2f}", f"{row['cpu_ms'] / row['gpu_ms']:.2f}"]
        lines.append(case(row) + cells)
    return markdown(heads, lines)


def host():
    heads = ["case", "shape", "recording µs", "arrays in and out ms", "two memcpys ms", "CPU ms", "speed-up"]
    lines = []
    for row in rows("llvmpipe").values():
        times = [f"{row[key]:.2f}" for key in ("host_us", "arrays_ms", "memcpy_ms", "cpu_ms")]
        lines.append(case(row) + times + [f"{row['cpu_ms'] / row['gpu_ms']:.2f}"])
    return markdown(heads, lines)


def types():
    heads = ["case", "shape", "copy f32 ms", "f32 ms", "f16 ms", "f16 ÷ f32", "bf16 ms", "bf16 ÷ f32"]
    lines, found = [], rows("llvmpipe-types")
    for key, row in found.items():
        if row["dtype"] != "f32":
            continue
        f32, cells = row["gpu_ms"], [f"{row['copy_ms']:.2f}", f"{row['gpu_ms']:.2f}"]
        for dtype in ("f16", "bf16"):
            time = found[f"{key}-{dtype}"]["gpu_ms"]
            cells += [f"{time:.2f}", f"{time / f32:.2f}"]
        lines.append(case(row) + cells)
    return markdown(heads, lines)


def beside():
    heads = ["case", "shape", "dispatches", "floor", "copy ms", "norm alone ms", "its ratio", "with it ms", "ratio"]
    heads += ["apart ms", "kernels apart", "with it ÷ apart"]
    lines = []
    for row in report("llvmpipe-beside")["rows"]:
        copy, plain, together, apart = (row[f"{key}_ms"] for key in ("copy", "plain", "together", "apart"))
        cells = [str(row["dispatches"]), str(row["floor"]), f"{copy:.2f}", f"{plain:.2f}", f"{copy / plain:.2f}"]
        cells += [f"{together:.2f}", f"{row['floor'] * copy / together:.2f}", f"{apart:.2f}", str(row["kernels_apart"])]
        lines.append(case(row) + cells + [f"{together / apart:.2f}"])
    return markdown(heads, lines)


def trees(name):
    heads = ["case", "shape", "copy ms", "GPU ms", "ratio", "256-thread tree ms", "tree ÷ GPU"]
    tree = rows(f"{name}-tree")
    lines = []
    for key, row in rows(name).items():
        times = [f"{row['copy_ms']:.1f}", f"{row['gpu_ms']:.1f}", f"{row['ratio']:.2f}", f"{tree[key]['gpu_ms']:.1f}"]
        lines.append(case(row) + times + [f"{tree[key]['gpu_ms'] / row['gpu_ms']:.1f}"])
    return markdown(heads, lines)


def peers(name, own, baseline):
    """`own` are gpunorm's columns; ONNX Runtime's factor is against `baseline`, others' against the wall's."""
    made = report(name)
    columns = []
    for peer in made["peers"]:
        for variant in dict.fromkeys(row["variant"] for row in peer["rows"]):
            times = {row["id"]: row["milliseconds"] for row in peer["rows"] if row["variant"] == variant}
            key = baseline if peer["peer"] == "ONNX Runtime" else "wall_ms"
            columns.append((f"{peer['peer']} {variant}", key, times))
    lines = []
    for row in made["gpunorm"]["rows"]:
        cells = case(row) + [f"{row[key]:.2f}" for key in own]
        for _, key, times in columns:
            time = times.get(row["id"])
            cells.append("–" if time is None else f"{time:.2f} ({time / row[key]:.2f})")
        lines.append(cells)
    return markdown(["case", "shape", *own.values(), *(title for title, _, _ in columns)], lines)


def burn():
    heads = ["case", "shape"]
    heads += [f"{what}: {side}" for what in ("forward", "backward", "step") for side in ("burn's ms", "gpunorm-burn ms")]
    lines = []
    for row in rows("burn-llvmpipe").values():
        cells = []
        for what in ("forward_ms", "backward_ms", "step_ms"):
            burns, ours = row["burn"][what], row["gpunorm"][what]
            cells += ["–", "–"] if burns is None else [f"{burns:.2f}", f"{ours:.2f} ({burns / ours:.1f}×)"]
        lines.append(case(row) + cells)
    return markdown(heads, lines)


PROCESSES = (1, 2, 4)


def mpi():
    heads = ["channels×height×width", "layers"]
    heads += [f"{what}, {n}" for n in PROCESSES for what in ("alone ms", "shared ms", "in exchange ms", "MPI µs")]
    reports = [report(f"mpi-{n}")["rows"] for n in PROCESSES]
    lines, totals = [], [0.0] * (len(heads) - 2)
    for rows in zip(*reports):
        height, layers, cells = rows[0]["height"], rows[0]["layers"], []
        for row in rows:
            times = row["times"]
            both = [sum(times[way][key] for way in ("forward", "backward")) for key in ("alone_ms", "shared_ms", "exchange_ms")]
            cells += [*both, times["gather_us"]]
        totals = [total + layers * cell for total, cell in zip(totals, cells)]
        lines.append([f"{rows[0]['channels']}×{height}×{height}", str(layers)] + [f"{cell:.2f}" for cell in cells])
    lines.append(["all", str(sum(row["layers"] for row in reports[0]))] + [f"{total:.0f}" for total in totals])
    return markdown(heads, lines)


# Of the model: layers by channels, seconds of a hop within a node and between nodes, bytes per second that a process receives, and
# seconds that a GPU's bytes take to and fro.
CHANNELS = {64: 7, 128: 8, 256: 16, 512: 11, 1024: 7, 2048: 4}
HOP, FAR_HOP, BANDWIDTH, HOST = 2e-6, 5e-6, 10e9, 50e-6


def mpi_model():
    heads = ["GPUs", "batch", "bytes received per step MB", "latency ms", "transfer ms", "to and from the GPU ms", "sum ms", "in groups of 8 ms"]
    exchanges = 2 * sum(CHANNELS.values())
    own = sum(channels * count for channels, count in CHANNELS.items()) * (16 + 8) + exchanges * 88
    lines, eight = [], None
    for gpus in (8, 64, 256, 1024):
        latency = exchanges * 2 * math.log2(gpus) * (HOP if gpus <= 8 else FAR_HOP)
        received = own * (gpus - 1)
        times = [latency, received / BANDWIDTH, exchanges * HOST]
        eight = eight or sum(times)
        cells = [str(gpus), str(32 * gpus), f"{received / 1e6:.1f}"]
        lines.append(cells + [f"{time * 1e3:.1f}" for time in [*times, sum(times), eight]])
    return markdown(heads, lines)


def main():
    text = DOCUMENT.read_text()
    tables = {"kernels": kernels(), "types": types(), "host": host(), "backward": backward()}
    tables["beside"] = beside()
    tables |= {"mpi": mpi(), "mpi-model": mpi_model()}
    own = {"copy_ms": "copy", "wall_ms": "gpunorm on llvmpipe", "cpu_ms": "gpunorm's CPU baseline"}
    tables |= {f"peers{kind}": peers(f"peers-llvmpipe{kind}", own, "cpu_ms") for kind in ("", "-backward")}
    own = {"copy_ms": "copy", "wall_ms": "gpunorm on llvmpipe", "apart_ms": "its kernels apart"}
    tables["peers-beside"] = peers("peers-llvmpipe-beside", own, "wall_ms")
    tables["burn"] = burn()
    tables |= {name: trees(name) for name in ("swiftshader", "gl")}
    for name, table in tables.items():
        before, _, rest = text.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"<!-- /{name} -->")
        if not end:
            sys.exit(f"{DOCUMENT.name} has no place for {name}")
        text = f"{before}<!-- {name} -->\n{table}{end}{after}"
    DOCUMENT.write_text(text)


if __name__ == "__main__":
    main()
