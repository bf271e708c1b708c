"""OpenVINO, which reads the ONNX model."""

from __future__ import annotations

from typing import Any

import numpy as np

from holdfast.bench.cases import Case
from holdfast.bench.peers import onnx
from holdfast.bench.peers.peer import Peer
from holdfast.bench.runners import Runner, library


def request(case: Case) -> Any:
    """The compiled model in float32, with the case's threads."""
    core = library("openvino").Core()
    settings = {
        "INFERENCE_NUM_THREADS": case.threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    made = core.read_model(onnx.model(case).SerializeToString())
    return core.compile_model(made, "CPU", settings).create_infer_request()


def whole(case: Case) -> Runner:
    """The sequence from a state of zeros."""
    ready = request(case)
    feed = [case.x.numpy(), *onnx.states(case).values()]
    return Runner(lambda: ready.infer(feed, share_inputs=True, share_outputs=True), onnx.read)


def step(case: Case) -> Runner:
    """One step, its state fed back."""
    ready = request(case)
    feed = [case.x.numpy(), *onnx.states(case).values()]

    def call() -> Any:
        result = ready.infer(feed, share_inputs=True, share_outputs=True)
        for index in range(1, len(feed)):
            np.copyto(feed[index], result[index])
        return feed[1]

    return Runner(call, lambda result: [result[0]])


PEERS = {
    "openvino": Peer({"inference": whole, "streaming": step}, {"onnx": "onnx", "openvino": "openvino"}),
}
