"""ONNX Runtime on the layer as an ONNX model."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from holdfast._typing import Array
from holdfast.bench.cases import Case, Refused
from holdfast.bench.peers.peer import Peer
from holdfast.bench.runners import Runner

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto, ValueInfoProto
    from onnxruntime import InferenceSession

_OPSET, _IR_VERSION = 17, 8

_GATES = {"gru": (1, 0, 2), "lstm": (0, 3, 1, 2), "rnn": (0,)}
"""Index of each ONNX gate in torch's order: z, r, n in r, z, n; i, o, f, c in i, f, c, o."""

_OPERATORS: dict[str, tuple[str, dict[str, int]]] = {
    "gru": ("GRU", {"linear_before_reset": 1}),
    "lstm": ("LSTM", {}),
    "rnn": ("RNN", {}),
}
"""Operator and attributes; linear_before_reset applies the reset gate after the product, as torch
does."""


def states(case: Case) -> dict[str, Array]:
    """Return name -> zeros [1, B, H] of each state."""
    names = ("h", "c") if case.cell == "lstm" else ("h",)
    batch, _, hidden, _ = case.shape
    return {name: np.zeros((1, batch, hidden), np.float32) for name in names}


def model(case: Case) -> ModelProto:
    """Build a model of one operator: X and initial state to Y [T, 1, B, H] and final state."""
    helper, proto = import_module("onnx.helper"), import_module("onnx").TensorProto
    batch, inputs, hidden, steps = case.shape

    def value(name: str, *sizes: int) -> ValueInfoProto:
        return helper.make_tensor_value_info(name, proto.FLOAT, sizes)

    def constant(name: str, *blocks: Array) -> TensorProto:
        order = list(_GATES[case.cell])
        turned = [b.reshape(len(order), hidden, *b.shape[1:])[order].reshape(b.shape) for b in blocks]
        return import_module("onnx.numpy_helper").from_array(np.concatenate(turned)[None], name)

    ih, hh, bias_ih, bias_hh = case.arrays()
    kind, attributes = _OPERATORS[case.cell]
    names = list(states(case))
    before, after = [f"initial_{name}" for name in names], [f"final_{name}" for name in names]
    nodes = [
        helper.make_node(
            kind, ["X", "W", "R", "B", "", *before], ["Y", *after], hidden_size=hidden, **attributes
        )
    ]
    graph = helper.make_graph(
        nodes,
        "layer",
        [value("X", steps, batch, inputs), *(value(name, 1, batch, hidden) for name in before)],
        [value("Y", steps, 1, batch, hidden), *(value(name, 1, batch, hidden) for name in after)],
        [constant("W", ih), constant("R", hh), constant("B", bias_ih, bias_hh)],
    )
    opset = [helper.make_opsetid("", _OPSET)]
    return helper.make_model(graph, opset_imports=opset, ir_version=_IR_VERSION)


def read(result: Sequence[Array]) -> list[Array]:
    """Return Y [T, 1, B, H] without the axis of directions."""
    return [np.asarray(result[0])[:, 0]]


def _session(case: Case, made: ModelProto) -> InferenceSession:
    """Open a session with the threads of the case."""
    runtime = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = case.threads, 1
    options.log_severity_level = 3
    return runtime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _whole(case: Case, made: ModelProto | None = None) -> Runner:
    """Run the sequence from a zero state."""
    ready = _session(case, made or model(case))
    feed = {"X": case.x.numpy(), **{f"initial_{name}": zeros for name, zeros in states(case).items()}}
    return Runner(lambda: ready.run(["Y"], feed), read)


def _step(case: Case) -> Runner:
    """Run one step at a time, with the state fed back."""
    ready, names = _session(case, model(case)), list(states(case))
    feed = {"X": case.x.numpy(), **{f"initial_{name}": zeros for name, zeros in states(case).items()}}
    wanted = [f"final_{name}" for name in names]

    def call() -> Sequence[Array]:
        result: Sequence[Array] = ready.run(wanted, feed)
        for name, value in zip(names, result, strict=True):
            feed[f"initial_{name}"] = value
        return result

    return Runner(call, lambda result: [result[0][0]])


def _int8(case: Case) -> Runner:
    """Run ONNX Runtime's dynamic quantization, which supports LSTM only."""
    if case.cell != "lstm":
        raise Refused("quantizes LSTMs only")
    onnx = import_module("onnx")
    with tempfile.TemporaryDirectory() as folder:
        plain, turned = Path(folder) / "plain.onnx", Path(folder) / "int8.onnx"
        onnx.save(model(case), plain)
        quantize = import_module("onnxruntime.quantization").quantize_dynamic
        quantize(plain, turned, op_types_to_quantize=["LSTM"])
        made = onnx.load(turned)
    kinds = sorted({node.op_type for node in made.graph.node})
    if "DynamicQuantizeLSTM" not in kinds:
        raise Refused(f"left it unquantized: {', '.join(kinds)}")
    return _whole(case, made)


PEERS = {
    "onnxruntime": Peer(
        {"inference": _whole, "streaming": _step, "int8": _int8},
        {"onnx": "onnx", "onnxruntime": "onnxruntime"},
    )
}
