"""Holdfast itself as a peer: without the option, on the reference kernel, or in float32."""

from __future__ import annotations

from holdfast.bench.cases import Case
from holdfast.bench.modes import with_option
from holdfast.bench.peers.peer import Peer
from holdfast.bench.runners import MAKERS, Runner


def _fp32(case: Case) -> Runner:
    """Run the layer without options in float32, in training or inference."""
    use = case.variant.partition(" ")[0] or "inference"
    return MAKERS[use](case.layer, case.x)


PEERS = {
    "plain": Peer(
        {
            "options": lambda case: MAKERS["training"](case.layer, case.x),
            "trace": lambda case: MAKERS["inference"](case.layer, case.x),
        },
        {},
        checked=False,
    ),
    "reference": Peer(
        {"options": lambda case: with_option(case, kernel="reference")}, {}, checked=False, once=True
    ),
    "fp32": Peer({"bf16": _fp32, "int8": _fp32}, {}),
}
