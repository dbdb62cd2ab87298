"""gpunorm and its peers on the same cases, one after the other, in one table.

    python3 benches/peers/run.py [--norms BENCH] [--burn BINARY] [--python PYTHON] [--out FOLDER]
                                [--backward | --beside] [--quick] [WORDS]

BENCH is gpunorm's bench as a binary; without it `cargo bench` builds one. BINARY is burn's, which README.md says how to
build. PYTHON has torch and onnxruntime. WORDS choose cases, as `cargo xtask bench` takes them. Nothing but Python's
standard library is needed here, so that it runs on a machine without Rust.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import typing

HERE = pathlib.Path(__file__).resolve().parent
BURN = HERE / "burn" / "target" / "release" / "burn-norms"


class Kind(typing.NamedTuple):
    """What is measured: by which of the scripts, and how gpunorm's report calls it."""

    scripts: list
    titles: dict
    # What a peer's time on a clock is compared with.
    own: dict
    burn: bool


CLOCKS = {"copy_ms": "copy ms", "gpu_ms": "gpunorm GPU ms", "wall_ms": "gpunorm wall ms", "cpu_ms": "CPU ms"}
OWN = {"gpu": "gpu_ms", "wall": "wall_ms"}
BESIDE = {"copy_ms": "copy ms", "together_ms": "gpunorm GPU ms", "apart_ms": "apart GPU ms", "wall_ms": "gpunorm wall ms"}
KINDS = {
    "forward": Kind(["torch_norms", "triton_layer_norm", "onnxruntime_cpu"], CLOCKS, OWN, True),
    "backward": Kind(["torch_norms"], CLOCKS, OWN, True),
    "beside": Kind(["torch_norms", "onnxruntime_cpu"], BESIDE, {"gpu": "together_ms", "wall": "wall_ms"}, False),
}


def options():
    parser = argparse.ArgumentParser(description="gpunorm and its peers on the same cases, in one table")
    parser.add_argument("--norms", help="gpunorm's bench as a binary; otherwise cargo builds it")
    parser.add_argument("--burn", default=BURN if BURN.exists() else None, help="burn's bench as a binary")
    parser.add_argument("--python", default=sys.executable, help="a Python with torch and onnxruntime")
    parser.add_argument("--out", type=pathlib.Path, help="a folder for the reports")
    kind = parser.add_mutually_exclusive_group()
    for name, help in [("backward", "backward passes"), ("beside", "forwards with what stands beside a norm")]:
        kind.add_argument(f"--{name}", dest="kind", action="store_const", const=name, help=f"{help} instead of forwards")
    parser.add_argument("--quick", action="store_true", help="3 runs instead of 9")
    parser.add_argument("words", nargs="*", help="only cases whose name or id contains one of them")
    given = parser.parse_intermixed_args()
    given.out = given.out or pathlib.Path("target/bench", f"peers-{given.kind}" if given.kind else "peers")
    return given


def run(name, command, problems):
    """Runs a program; one that fails is remembered and does not stop the others."""
    print(f"==> {name}", file=sys.stderr, flush=True)
    try:
        status = subprocess.run([str(word) for word in command]).returncode
        problem = f"{name}: exit status {status}" if status else None
    except OSError as error:
        problem = f"{name}: {error}"
    if problem:
        print(problem, file=sys.stderr, flush=True)
        problems.append(problem)
    return problem is None


def load(path):
    with open(path) as file:
        return json.load(file)


def is_chosen(case, words):
    return not words or any(word.lower() in case["name"].lower() + " " + case["id"] for word in words)


def table(cases, norms, peers, kind):
    """Markdown: each peer's milliseconds, and how many times gpunorm's on the same clock that is."""
    own = {row["id"]: row for row in norms["rows"]} if norms else {}
    columns = []
    for peer in peers:
        clock = peer.get("clock", "wall")
        for variant in dict.fromkeys(row["variant"] for row in peer["rows"]):
            times = {row["id"]: row["milliseconds"] for row in peer["rows"] if row["variant"] == variant}
            columns.append((f"{peer['peer']} {variant}, {'GPU' if clock == 'gpu' else clock} ms", kind.own[clock], times))
    heads = ["case", "shape", *kind.titles.values()] + [title for title, _, _ in columns]
    lines = [heads, ["---", "---"] + ["---:"] * (len(heads) - 2)]
    for case in cases:
        row = own.get(case["id"], {})
        cells = [case["name"], "×".join(map(str, case["shape"]))]
        cells += [f"{row[key]:.3f}" if key in row else "–" for key in kind.titles]
        for _, key, times in columns:
            time = times.get(case["id"])
            factor = f" ({time / row[key]:.2f}×)" if time is not None and key in row else ""
            cells.append("–" if time is None else f"{time:.3f}{factor}")
        lines.append(cells)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def main():
    given = options()
    out = given.out.resolve()  # cargo runs a bench in the package's folder
    out.mkdir(parents=True, exist_ok=True)
    manifest = HERE.parent.parent / "Cargo.toml"
    cargo = ["cargo", "bench", "--quiet", "--manifest-path", manifest, "--bench", "norms", "--"]
    bench = [given.norms] if given.norms else cargo
    quick, runs = (["--quick"], 3) if given.quick else ([], 9)
    kind = KINDS[given.kind or "forward"]
    flag = [f"--{given.kind}"] * bool(given.kind)
    problems = []
    if not run("cases", bench + flag + ["--cases", out / "cases.json"] + given.words, problems):
        sys.exit(1)
    cases = load(out / "cases.json")
    files = ["--json", out / "gpunorm.json", "--svg", out / "gpunorm.svg"]
    bench += files + flag + quick + given.words
    norms = load(out / "gpunorm.json") if run("gpunorm", bench, problems) else None

    programs = {script: [given.python, HERE / f"{script}.py"] for script in kind.scripts}
    if given.burn and kind.burn:
        programs["burn"] = [given.burn]
    elif kind.burn:
        print("burn is left out: cargo build --release --manifest-path", HERE / "burn" / "Cargo.toml", file=sys.stderr)
    backward = ["--backward"] * (given.kind == "backward")  # of the rest, the cases say it
    peers = []
    for name, command in programs.items():
        report = out / f"{name}.json"
        if run(name, command + [out / "cases.json", report, "--runs", runs] + backward, problems):
            peers.append(load(report))
            if name == "burn" and norms and peers[-1]["device"] != norms["adapter"]:
                problems.append(f"burn ran on {peers[-1]['device']}, gpunorm on {norms['adapter']}")

    about = [f"gpunorm on {norms['adapter']} ({norms['backend']}, {norms['driver']})"] if norms else []
    about += [f"{peer['peer']} {peer['version']} on {peer['device']}" for peer in peers if peer["rows"]]
    about += ["in brackets: how many times gpunorm's time on the same clock"]
    text = "\n".join(f"* {line}" for line in about) + "\n\n" + table(cases, norms, peers, kind)
    (out / "peers.md").write_text(text)
    (out / "peers.json").write_text(json.dumps({"gpunorm": norms, "peers": peers}, indent=1) + "\n")
    print(text)
    print(f"wrote {out / 'peers.md'} and {out / 'peers.json'}")
    if problems:
        sys.exit("failed: " + "; ".join(problems))


if __name__ == "__main__":
    main()
