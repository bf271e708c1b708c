"""The peers: libraries to compare Holdfast with, in :data:`PEERS`."""

from holdfast.bench.peers import jax, keras, onnx, openvino, own, torch_nn
from holdfast.bench.peers.peer import Peer

PEERS: dict[str, Peer] = {
    name: peer
    for module in (torch_nn, onnx, openvino, jax, keras, own)
    for name, peer in module.PEERS.items()
}

__all__ = ["PEERS", "Peer"]
