"""Modes: ways to use a layer, and how Holdfast runs each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from holdfast._json import Keywords
from holdfast.bench.cases import SHAPES, STEPS, Case, Shape
from holdfast.bench.runners import Runner, differentiated, inference, low_precision, training
from holdfast.nn.quantization import quantize
from holdfast.nn.recurrent import Recurrent

_BACKWARD = 3
"""Flop of forward and backward divided by forward: backward has two products for each one."""


@dataclass(frozen=True)
class _Mode:
    """A way to use a layer.

    Attributes:
        text: description for tables and plots.
        run: makes Holdfast's runner of a case.
        tolerance: allowed difference between the results of a peer and of Holdfast, relative to the
            largest value.
        variants: cell -> names of the mode's variants.
        shapes: default shapes.
        quick: shapes of ``--quick``.
    """

    text: str
    run: Callable[[Case], Runner]
    tolerance: float = 1e-4
    variants: Callable[[str], tuple[str, ...]] = lambda cell: ("",)
    shapes: tuple[Shape, ...] = SHAPES
    quick: tuple[Shape, ...] = SHAPES[1:2]

    def takes(self, shape: Shape) -> bool:
        """Return whether a shape fits this mode: one step, or a sequence."""
        return (shape.steps == 1) == (self.shapes[0].steps == 1)


def _inference(case: Case) -> Runner:
    return _counted(case, case.layer, inference(case.layer, case.x), 1)


def _trace(case: Case) -> Runner:
    layer = case.layer.eval()

    def call() -> Tensor:
        with torch.inference_mode():
            return layer.trace(case.x)["hidden"][-1, 0]

    return _counted(case, layer, Runner(call), 1)


def _training(case: Case) -> Runner:
    return _counted(case, case.layer, training(case.layer, case.x), _BACKWARD)


def _ragged(case: Case) -> Runner:
    return _counted(case, case.layer, training(case.layer, case.x, None, case.lengths), _BACKWARD)


def _counted(case: Case, layer: Recurrent, runner: Runner, passes: int) -> Runner:
    return replace(runner, flop=passes * case.flop(layer))


def _streaming(case: Case) -> Runner:
    stream = case.layer.eval().stream(case.shape.batch)
    x = case.x[0].numpy()
    return _counted(case, case.layer, Runner(lambda: stream.step(x)), 1)


def _bf16(case: Case) -> Runner:
    passes = _BACKWARD if case.variant.startswith("training") else 1
    return _counted(case, case.layer, low_precision(case, case.build()), passes)


def _int8(case: Case) -> Runner:
    return _counted(case, case.layer, inference(quantize(case.build()), case.x), 1)


# -- options ---------------------------------------------------------------------------------------

_COMMON: dict[str, Keywords] = {
    "layer_norm": {"layer_norm": True},
    "recurrent_dropout": {"recurrent_dropout": 0.2},
    "zoneout": {"zoneout": 0.1},
    "weight_drop": {"weight_drop": 0.2},
    "learn_initial_state": {"learn_initial_state": True},
    "trace": {},
}
"""Option -> arguments that switch it on; trace has no argument, as it is another call."""

_OWN: Mapping[str, dict[str, Keywords]] = {
    "gru": {"reset_after=False": {"reset_after": False}},
    "lstm": {"peephole": {"peephole": True}, "coupled": {"coupled": True}, "proj_size": {}},
    "rnn": {},
}
"""Options of one cell only; proj_size is half of the hidden size."""


def options(cell: str) -> tuple[str, ...]:
    """Return every option of a cell."""
    return (*_COMMON, *_OWN[cell])


def with_option(case: Case, **more: object) -> Runner:
    """Run the training of a layer with the option of the case."""
    arguments = dict((_COMMON | _OWN[case.cell])[case.variant])
    if case.variant == "proj_size":
        arguments["proj_size"] = max(1, case.shape.hidden // 2)
    layer = case.build(**arguments, **more)
    loss = _traced_sum if case.variant == "trace" else _output_sum
    runner = differentiated(layer, case.x, lambda x: loss(layer, x))
    return _counted(case, layer, runner, _BACKWARD)


def _output_sum(layer: Recurrent, x: Tensor) -> Tensor:
    """Return the sum of the outputs."""
    total: Tensor = layer(x)[0].sum()
    return total


def _traced_sum(layer: Recurrent, x: Tensor) -> Tensor:
    """Return the sum of every gate, candidate, state and output."""
    parts = [values.sum() for values in layer.trace(x).values()]
    return sum(parts[1:], parts[0])


_BF16 = ("inference", "training", "inference autocast", "training autocast")

MODES = {
    "inference": _Mode("forward pass", _inference),
    "training": _Mode("forward and backward pass", _training),
    "ragged": _Mode("training on sequences of different lengths", _ragged),
    "trace": _Mode("forward pass that gives every gate of every step", _trace),
    "streaming": _Mode("one step of one sequence", _streaming, shapes=STEPS, quick=STEPS[1:2]),
    "options": _Mode(
        "training with an option switched on", with_option, variants=options, shapes=SHAPES[1:4]
    ),
    "bf16": _Mode("bfloat16, by .bfloat16() or autocast", _bf16, tolerance=0.1, variants=lambda cell: _BF16),
    "int8": _Mode("forward pass with int8 weights", _int8, tolerance=0.1),
}
