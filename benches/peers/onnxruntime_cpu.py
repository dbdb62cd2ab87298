"""ONNX Runtime's CPU kernels: `onnxruntime_cpu.py CASES.json OUT.json`. What ONNX has no operator for (batch norm in
training as torch does it, switchable norm) is left out. Wall time with bound inputs and outputs, medians."""

import time

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

from common import EPS, options, check, report, say, values


def model(case):
    """A graph of one node, and its parameters as initializers."""
    shape, norm = case["shape"], case["norm"]
    count = case["normalized"][-1] if case["normalized"] else shape[1]
    inputs, attributes = ["x", "weight", "bias"], {"epsilon": EPS}
    tensors = {"weight": np.ones(count), "bias": np.zeros(count)}
    if norm == "layer":
        operator, attributes["axis"] = "LayerNormalization", -1
    elif norm == "rms":
        operator, attributes["axis"], inputs = "RMSNormalization", -1, ["x", "weight"]
    elif norm == "group":
        operator, attributes["num_groups"] = "GroupNormalization", case["groups"]
    elif norm == "instance":
        operator = "InstanceNormalization"
    elif norm == "batch" and not case["training"]:
        operator = "BatchNormalization"
        inputs += ["mean", "var"]
        tensors |= {"mean": np.zeros(count), "var": np.ones(count)}
    else:
        return None
    info = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    made = [
        helper.make_tensor(name, TensorProto.FLOAT, [count], tensors[name].astype(np.float32))
        for name in inputs[1:]
    ]
    graph = helper.make_graph(
        [helper.make_node(operator, inputs, ["y"], **attributes)], "norm", [info("x")], [info("y")], made
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)


def main():
    given = options()
    rows = []
    for case in given.cases:
        made = model(case)
        if made is None:
            continue
        try:
            session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
            x = values(case["shape"])
            y = np.full_like(x, np.nan)
            binding = session.io_binding()
            binding.bind_cpu_input("x", x)
            binding.bind_output("y", "cpu", 0, np.float32, y.shape, y.ctypes.data)
            times = []
            for _ in range(given.runs + 2):
                start = time.perf_counter()
                session.run_with_iobinding(binding)
                times.append((time.perf_counter() - start) * 1e3)
            check(case, x, y)
        except Exception as error:  # an operator that this version has no kernel for
            say(f"ONNX Runtime {case['id']} left out: {str(error).splitlines()[0]}")
            continue
        median = sorted(times[2:])[given.runs // 2]
        rows.append({"id": case["id"], "variant": "CPU", "milliseconds": median})
        say(f"ONNX Runtime {case['id']} {median:.3f} ms")
    report(given.out, "ONNX Runtime", onnxruntime.__version__, "CPU", rows)


if __name__ == "__main__":
    main()
