"""Holdfast against itself: without the option, by the reference kernel, in float32."""

from __future__ import annotations

from holdfast.bench.cases import Case
from holdfast.bench.modes import with_option
from holdfast.bench.peers.peer import Peer
from holdfast.bench.runners import MAKERS, Runner


def fp32(case: Case) -> Runner:
    """The plain layer in float32, in training or inference."""
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
    "fp32": Peer({"bf16": fp32, "int8": fp32}, {}),
}
