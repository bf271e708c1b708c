"""OpenVINO on the ONNX model."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np

from holdfast._typing import Array
from holdfast.bench.cases import Case
from holdfast.bench.peers import onnx
from holdfast.bench.peers.peer import Peer
from holdfast.bench.runners import Runner

if TYPE_CHECKING:
    from openvino import InferRequest


def _request(case: Case) -> InferRequest:
    """Compile the model in float32 with the threads of the case."""
    core = import_module("openvino").Core()
    settings = {
        "INFERENCE_NUM_THREADS": case.threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    made = core.read_model(onnx.model(case).SerializeToString())
    return core.compile_model(made, "CPU", settings).create_infer_request()


def _whole(case: Case) -> Runner:
    """Run the sequence from a zero state."""
    ready = _request(case)
    feed = [case.x.numpy(), *onnx.states(case).values()]
    return Runner(lambda: ready.infer(feed, share_inputs=True, share_outputs=True), onnx.read)


def _step(case: Case) -> Runner:
    """Run one step at a time, with the state fed back."""
    ready = _request(case)
    feed = [case.x.numpy(), *onnx.states(case).values()]

    def call() -> Array:
        result = ready.infer(feed, share_inputs=True, share_outputs=True)
        for index in range(1, len(feed)):
            np.copyto(feed[index], result[index])
        return feed[1]

    return Runner(call, lambda result: [result[0]])


PEERS = {
    "openvino": Peer({"inference": _whole, "streaming": _step}, {"onnx": "onnx", "openvino": "openvino"}),
}
