"""ONNX Runtime's CPU kernels: `onnxruntime_cpu.py CASES.json OUT.json`. What ONNX has no operator for (batch norm in
training as torch does it, switchable norm) is left out. A residual and its norm are one operator of Microsoft's domain, a silu
too; what else stands beside a norm is one more each. Wall time with bound inputs and outputs, medians."""

import time

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

from common import EPS, check, inputs, options, report, say, spread

MICROSOFT = "com.microsoft"


def model(case):
    """A graph from `common.inputs`, spread, to y and, where it is kept, the sum; the layer's parameters are initializers."""
    norm, arrays = case["norm"], inputs(case)
    count = case["normalized"][-1] if case["normalized"] else case["shape"][1]
    tensors = {"weight": np.ones(count), "bias": np.zeros(count)}
    nodes = []

    def node(operator, *names, sum="", **attributes):
        outputs = [f"{operator}-output"] + (["", "", sum] if sum else [])
        nodes.append(helper.make_node(operator, names, outputs, **attributes))
        return outputs[0]

    x = "x"
    fused = case.get("keep_sum")
    if "a" in arrays and not fused:
        x = node("Add", x, "a")
    if norm == "layer" and fused:
        y = node("SkipLayerNormalization", x, "a", "weight", "bias", sum="sum", domain=MICROSOFT, epsilon=EPS)
    elif norm == "rms" and fused:
        y = node("SkipSimplifiedLayerNormalization", x, "a", "weight", sum="sum", domain=MICROSOFT, epsilon=EPS)
    elif norm == "layer":
        y = node("LayerNormalization", x, "weight", "bias", epsilon=EPS, axis=-1)
    elif norm == "rms":
        y = node("RMSNormalization", x, "weight", epsilon=EPS, axis=-1)
    elif norm == "group":
        y = node("GroupNormalization", x, "weight", "bias", epsilon=EPS, num_groups=case["groups"])
    elif norm == "instance":
        y = node("InstanceNormalization", x, "weight", "bias", epsilon=EPS)
    elif norm == "batch" and not case["training"]:
        tensors |= {"mean": np.zeros(count), "var": np.ones(count)}
        y = node("BatchNormalization", x, "weight", "bias", "mean", "var", epsilon=EPS)
    else:
        return None
    if "scale" in arrays:
        scale = "scale"
        if case["modulation"] == "from one":
            tensors["one"] = np.ones(1)
            scale = node("Add", scale, "one")
        y = node("Add", node("Mul", y, scale), "shift")
    if "c" in arrays:
        y = node("Add", y, "c")
    if case.get("activation") == "relu":
        y = node("Relu", y)
    elif case.get("activation") == "silu":
        y = node("QuickGelu", y, domain=MICROSOFT, alpha=1.0)
    nodes[-1].output[0] = "y"
    used = {name for node in nodes for name in node.input}
    info = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    made = [
        helper.make_tensor(name, TensorProto.FLOAT, value.shape, value.astype(np.float32))
        for name, value in tensors.items()
        if name in used
    ]
    given = [info(name, spread(case, array).shape) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "norm", given, [info(name, case["shape"]) for name in outputs(case)], made)
    domains = [helper.make_opsetid("", 23), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=domains, ir_version=10)


def outputs(case):
    return ["y", "sum"] if case.get("keep_sum") else ["y"]


def main():
    given = options()
    rows = []
    for case in given.cases:
        made = model(case)
        if made is None:
            continue
        try:
            session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
            arrays = inputs(case)
            results = {name: np.full_like(arrays["x"], np.nan) for name in outputs(case)}
            binding = session.io_binding()
            for name, array in arrays.items():
                binding.bind_cpu_input(name, spread(case, array))
            for name, array in results.items():
                binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
            times = []
            for _ in range(given.runs + 2):
                start = time.perf_counter()
                session.run_with_iobinding(binding)
                times.append((time.perf_counter() - start) * 1e3)
            check(case, arrays, *results.values())
        except Exception as error:  # an operator that this version has no kernel for
            say(f"ONNX Runtime {case['id']} left out: {str(error).splitlines()[0]}")
            continue
        median = sorted(times[2:])[given.runs // 2]
        rows.append({"id": case["id"], "variant": "CPU", "milliseconds": median})
        say(f"ONNX Runtime {case['id']} {median:.3f} ms")
    report(given.out, "ONNX Runtime", onnxruntime.__version__, "CPU", rows)


if __name__ == "__main__":
    main()
