"""gpunorm and its peers on the same cases, one after the other, in one table.

    python3 benches/peers/run.py [--norms BENCH] [--burn BINARY] [--python PYTHON] [--out FOLDER] [--quick] [WORDS]

BENCH is gpunorm's bench as a binary; without it `cargo bench` builds one. BINARY is burn's, which README.md says how to
build. PYTHON has torch and onnxruntime. WORDS choose cases, as `cargo xtask bench` takes them. Nothing but Python's
standard library is needed here, so that it runs on a machine without Rust.
"""

import argparse
import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
BURN = HERE / "burn" / "target" / "release" / "burn-norms"


def options():
    parser = argparse.ArgumentParser(description="gpunorm and its peers on the same cases, in one table")
    parser.add_argument("--norms", help="gpunorm's bench as a binary; otherwise cargo builds it")
    parser.add_argument("--burn", default=BURN if BURN.exists() else None, help="burn's bench as a binary")
    parser.add_argument("--python", default=sys.executable, help="a Python with torch and onnxruntime")
    parser.add_argument("--out", default="target/bench/peers", type=pathlib.Path, help="a folder for the reports")
    parser.add_argument("--quick", action="store_true", help="3 runs instead of 9")
    parser.add_argument("words", nargs="*", help="only cases whose name or id contains each of them")
    return parser.parse_args()


def run(name, command, problems):
    """Runs a program; one that fails is remembered and does not stop the others."""
    print(f"==> {name}", file=sys.stderr, flush=True)
    try:
        subprocess.run([str(word) for word in command], check=True)
        return True
    except (OSError, subprocess.CalledProcessError) as error:
        problems.append(f"{name}: {error}")
        return False


def load(path):
    with open(path) as file:
        return json.load(file)


def table(norms, peers):
    """Markdown: each peer's milliseconds, and how many times gpunorm's GPU time that is."""
    columns = []
    for peer in peers:
        for variant in dict.fromkeys(row["variant"] for row in peer["rows"]):
            times = {row["id"]: row["milliseconds"] for row in peer["rows"] if row["variant"] == variant}
            columns.append((f"{peer['peer']} {variant}", times))
    titles = ["case", "shape", "copy ms", "gpunorm ms", "CPU ms"] + [title for title, _ in columns]
    lines = [titles, ["---", "---"] + ["---:"] * (len(titles) - 2)]
    for row in norms["rows"]:
        cells = [row["case"], "×".join(map(str, row["shape"]))]
        cells += [f"{row[key]:.3f}" for key in ("copy_ms", "gpu_ms", "cpu_ms")]
        for _, times in columns:
            time = times.get(row["id"])
            cells.append("–" if time is None else f"{time:.3f} ({time / row['gpu_ms']:.2f}×)")
        lines.append(cells)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def main():
    given = options()
    given.out.mkdir(parents=True, exist_ok=True)
    bench = [given.norms] if given.norms else ["cargo", "bench", "--quiet", "--bench", "norms", "--"]
    cases, report = given.out / "cases.json", given.out / "gpunorm.json"
    # cargo runs a bench in the package's folder.
    absolute = lambda path: path.resolve()
    quick, runs = (["--quick"], 3) if given.quick else ([], 9)
    problems = []
    if not run("cases", bench + ["--cases", absolute(cases)] + given.words, problems):
        sys.exit("\n".join(problems))
    files = ["--json", absolute(report), "--svg", absolute(given.out / "gpunorm.svg")]
    if not run("gpunorm", bench + files + quick + given.words, problems):
        sys.exit("\n".join(problems))

    programs = {script: [given.python, HERE / f"{script}.py"] for script in ("torch_norms", "triton_layer_norm", "onnxruntime_cpu")}
    if given.burn:
        programs["burn"] = [given.burn]
    else:
        print("burn is left out: README.md says how to build it", file=sys.stderr)
    peers = []
    for name, command in programs.items():
        out = given.out / f"{name}.json"
        if run(name, command + [cases, out, "--runs", runs], problems):
            peers.append(load(out))

    norms = load(report)
    about = [f"gpunorm {norms['gpunorm']} on {norms['adapter']} ({norms['backend']}, {norms['driver_info']})"]
    about += [f"{peer['peer']} {peer['version']} on {peer['device']}" for peer in peers if peer["rows"]]
    text = "\n".join(f"* {line}" for line in about) + "\n\n" + table(norms, peers)
    (given.out / "peers.md").write_text(text)
    (given.out / "peers.json").write_text(json.dumps({"gpunorm": norms, "peers": peers}, indent=1) + "\n")
    print(text)
    print(f"wrote {given.out / 'peers.md'} and {given.out / 'peers.json'}")
    if problems:
        sys.exit("failed: " + "; ".join(problems))


if __name__ == "__main__":
    main()
