"""Inspect one sequence: :func:`inspect` for any torch model, :func:`analyze` for a full request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from holdfast._deprecated import warn_renamed
from holdfast._json import JsonMapping
from holdfast._typing import Array
from holdfast.errors import UserError
from holdfast.files import counted
from holdfast.insight.analysis import (
    ablation,
    attribution,
    feature_units,
    gates,
    gradient_flow,
    memory,
    summary,
)
from holdfast.insight.analysis.call_chains import CallChain, capture_chains, first_by_module, require_finite
from holdfast.insight.analysis.default_target import largest_last_output
from holdfast.insight.analysis.layer_capture import LayerCall, LayerDirection, eval_mode, split_directions
from holdfast.insight.analysis.request import InspectionRequest, Loss, Score
from holdfast.insight.analysis.results import (
    Ablation,
    Attribution,
    FeatureUnit,
    GradientFlow,
    Inspection,
    LayerTrace,
    Steps,
)

_REVERSE = (
    "Memory is measured at each sequence's last step. There the reverse direction of a layer has read that step only, "
    "so the curve shows what the forward direction keeps. Each direction's gradient starts at its own end."
)
_Measured = TypeVar("_Measured")


def analyze(request: InspectionRequest) -> Inspection:
    """Measure gates, feature units, memory, gradients, attribution and ablation on one sequence.

    What cannot be measured is left out, and ``notes`` says why.

    Raises:
        UserError: the network has no recurrent layers, none ran, none reads as many steps as there
            are labels, the first sequence is empty, or inputs or activations are not finite.
    """
    notes = list(request.notes)
    exact = request.exact or request
    with eval_mode(request.model):  # includes the score's own layers: no dropout in any of them
        calls = _layer_calls(request, notes)
        layers = [_layer_trace(one) for call in calls for one in split_directions(call)]
        features = _features(request)
        if any(getattr(call.module, "bidirectional", False) for call in calls):
            notes.append(_REVERSE)
        units = _feature_units(request, layers, features)
        batch = request.feature_batch.features if request.feature_batch else {}
        sequences = max((values.shape[1] for values in batch.values()), default=1)
        curve = partial(memory.memory_curve, exact.model, exact.measured_run, layers=exact.layers)
        flows = partial(
            gradient_flow.gradient_flows, request.model, request.measured_run, layers=request.layers
        )
        found = Inspection(
            request.title,
            request.steps,
            layers,
            units,
            tuple(features),
            _measure(curve, "memory", notes),
            _measure(flows, "gradients", notes) or (),
            _attribution(exact, notes),
            _ablation(request, calls, notes),
            notes=notes,
            sequences=sequences,
        )
    found = _renamed(found, request.names)
    return replace(found, summary=summary.sentences(found))


def _renamed(found: Inspection, names: Mapping[str, str]) -> Inspection:
    """Give layers their names for readers."""

    def flow(one: GradientFlow) -> GradientFlow:
        name = names.get(one.name, one.name)
        return replace(one, name=name, sentence=name + one.sentence.removeprefix(one.name))

    layers = [replace(layer, name=names.get(layer.name, layer.name)) for layer in found.layers]
    return replace(found, layers=layers, gradients=[flow(one) for one in found.gradients])


def _layer_calls(request: InspectionRequest, notes: list[str]) -> list[CallChain]:
    """Return the first call of each requested recurrent module that reads the sequence's steps."""
    found = capture_chains(request.model, request.run, request.layers)
    first = first_by_module(found)
    notes += _repeated_calls(found)
    if not request.steps:
        raise UserError(
            "The first sequence must have at least 1 step.", "It has none.", "Put a non-empty sequence first."
        )
    calls = [call for call in first.values() if int(call.lengths[0]) == len(request.steps)]
    if not calls:
        lengths = ", ".join(f"{call.name or 'the model'}: {int(call.lengths[0])}" for call in first.values())
        raise UserError(
            "There must be one label for each step that the recurrent layers read.",
            f"There are {len(request.steps)} labels; steps read: {lengths or 'none'}.",
            "Give a label for each step.",
        )
    others = [call.name or "the model" for call in first.values() if call not in calls]
    if others:
        notes.append(f"Not shown, because they read a different number of steps: {', '.join(others)}.")
    for call in calls:
        require_finite(call.name, call.x, call.lengths, "input")
    return calls


def _repeated_calls(found: Sequence[CallChain]) -> Iterator[str]:
    """Yield a note for each module that was called more than once."""
    for name, one in first_by_module(found).items():
        times = [len(chain.places) for chain in found if chain.name == name]
        shown = name or "The layer"
        if times[0] > 1:
            yield (
                f"{shown} was called {times[0]} times, each with the state of the previous call. The calls are shown "
                "as one sequence."
            )
        if len(times) > 1:
            yield (
                f"{shown} was called {sum(times)} times; the first call, of {counted(one.x.size(0), 'step')}, "
                "is shown. Calls form one sequence if each of them starts from the state that the previous call "
                "returned and the layer has one direction."
            )


def _layer_trace(one: LayerDirection) -> LayerTrace:
    for name, values in one.activations().items():
        require_finite(one.name, values, one.lengths, name)
    return gates.trace_layer(one)


def _features(request: InspectionRequest) -> dict[str, Array]:
    """Return the searchable features, with several sequences laid end to end."""
    known = request.feature_batch.features if request.feature_batch else request.steps.features
    return feature_units.searchable_features({name: v.reshape(len(v), -1) for name, v in known.items()})


def _feature_units(
    request: InspectionRequest, layers: Sequence[LayerTrace], features: Mapping[str, Array]
) -> Sequence[FeatureUnit]:
    if request.feature_batch is None:
        return feature_units.find_feature_units(layers, features)
    names = {layer.name for layer in layers}
    calls = first_by_module(capture_chains(request.model, request.feature_batch.run, request.layers))
    directions = (one for call in calls.values() for one in split_directions(call) if one.name in names)
    searched = []
    for layer, one in zip(layers, directions, strict=True):
        flat = {n: v.transpose(0, 1).flatten(0, 1).numpy() for n, v in one.activations().items()}
        searched.append(replace(layer, activations=flat))
    return feature_units.find_feature_units(searched, features)


def _measure(measure: Callable[[], _Measured], name: str, notes: list[str]) -> _Measured | None:
    """Return a measurement, or None and a note if it is refused."""
    try:
        return measure()
    except UserError as error:
        notes.append(f"The {name} could not be measured. {error}")
        return None


def _attribution(request: InspectionRequest, notes: list[str]) -> Attribution | None:
    if request.score is not None:
        return _measure(partial(attribution.attribute, request, request.score), "attribution", notes)
    notes.append("There is no attribution: it needs score=, a function that returns the number to explain.")
    return None


def _ablation(request: InspectionRequest, calls: Sequence[LayerCall], notes: list[str]) -> Ablation | None:
    if request.loss is None:
        return None
    if any(not ablation.has_own_weights(call.module) for call in calls):
        notes.append(
            "The ablation skips layers whose weights are computed from other parameters (weight norm)."
        )
    return ablation.ablate(request.model, list(calls), request.loss)


# -- any torch model -------------------------------------------------------------------------------

_BATCHED = "The first sequence of the batch is shown; memory and gradients are measured on all of them."
_WITHOUT_LOSS = "There is no ablation: it needs loss=, a function that returns the loss on held-out data."


class ModelInspector:
    """Inspect the recurrent layers (torch.nn's or Holdfast's) of a torch model.

    Call it with the model's inputs: it runs the model and returns an :class:`Inspection`.

    Example:
        >>> import torch
        >>> from holdfast.insight import inspect
        >>> model = torch.nn.LSTM(3, 8, batch_first=True)
        >>> found = inspect(model)(torch.randn(1, 50, 3))
        >>> found.layers[0].activations["forget"].shape
        (50, 8)
    """

    def __init__(self, model: nn.Module) -> None:
        if not isinstance(model, nn.Module):
            raise UserError(
                "insight.inspect must be given a torch.nn.Module.",
                f"It was given a {type(model).__name__}.",
                "Pass the model.",
            )
        self.model = model

    def __call__(
        self,
        *inputs: object,
        steps: Steps | Sequence[str] | None = None,
        score: Callable[[Any], Tensor] | None = None,
        loss: Callable[[], Any] | None = None,
        title: str | None = None,
        **named: Any,
    ) -> Inspection:
        """Run the model on these inputs and inspect the first sequence of the batch.

        A model in bfloat16 or float16 is copied; memory and attribution are measured on the copy in
        float32.

        Args:
            inputs: positional inputs of the model.
            steps: labels of the steps, or a :class:`Steps` with features that units may track;
                default: numbers.
            score: the model's output -> the number to explain. Default, if the output is a tensor
                or a tuple that begins with one: the largest element of the first sequence's last
                step.
            loss: returns the loss on held-out data, for ablation; without it, no ablation.
            title: title of the report.
            named: keyword inputs of the model, such as ``lengths=``.

        Raises:
            UserError: the model has no recurrent layer, none ran, the labels do not fit, the batch
                is empty, or values are not finite.
        """
        model = self.model

        def run() -> object:
            return model(*inputs, **named)

        first = capture_chains(model, run)[0]
        notes = [*([_BATCHED] if first.x.size(1) > 1 else []), *([_WITHOUT_LOSS] if loss is None else [])]
        largest = Score("largest output after the last step", largest_last_output(first))
        request = InspectionRequest(
            title or f"Inside {type(model).__name__}",
            model,
            run,
            self._steps(first, steps),
            largest if score is None else Score("score", lambda output: score(output).reshape(-1)[0], None),
            None if loss is None else Loss("in the unit of loss=", lambda: float(loss())),
            notes=notes,
        )
        return analyze(_with_float32_copy(request, inputs, named))

    @staticmethod
    def _steps(call: LayerCall, given: Steps | Sequence[str] | None) -> Steps:
        length = int(call.lengths[0])
        if given is None:
            x = call.x[:length, 0]
            names = [f"input {k}" for k in range(x.size(1))] if x.size(1) <= 8 else []
            rows = x.T.numpy() if names else None
            return Steps([str(k) for k in range(length)], "step", rows, names, dict(zip(names, x.T.numpy())))
        return given if isinstance(given, Steps) else Steps([str(label) for label in given])


def inspect(model: nn.Module) -> ModelInspector:
    """Return an inspector of the recurrent layers of any torch model: see :class:`ModelInspector`.

    Example:
        >>> import torch
        >>> inspect(torch.nn.GRU(2, 4))(torch.zeros(9, 1, 2)).layers[0].cell
        'gru'
    """
    if isinstance(model, InspectionRequest):  # its form before there was analyze
        warn_renamed("insight.inspect(request)", "insight.analyze(request)")
        return analyze(model)  # type: ignore[return-value]
    return ModelInspector(model)


# -- half precision --------------------------------------------------------------------------------

_HALVES = (torch.bfloat16, torch.float16)


def _with_float32_copy(
    request: InspectionRequest, inputs: Sequence[object], named: JsonMapping
) -> InspectionRequest:
    """Add a float32 copy of a half-precision model, whose rounding hides small differences.

    Args:
        request: a request whose ``run`` calls the model with these inputs.
        inputs, named: positional and keyword inputs of the model.
    """
    halves = {str(p.dtype).removeprefix("torch.") for p in request.model.parameters() if p.dtype in _HALVES}
    if not halves:
        return request
    kind = " and ".join(sorted(halves))
    try:
        model = deepcopy(request.model).float()
        given, by_name = tree_map(_to_float32, (tuple(inputs), dict(named)))
        with eval_mode(model), torch.no_grad():
            model(*given, **by_name)
    except (RuntimeError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        note = (
            f"The model is in {kind} and could not run in float32 ({reason}). Rounding affects memory and "
            "attribution."
        )
        return replace(request, notes=[*request.notes, note])
    exact = replace(request, model=model, run=lambda: model(*given, **by_name))
    note = f"The model is in {kind}: memory and attribution are measured on a copy in float32."
    return replace(request, exact=exact, notes=[*request.notes, note])


def _to_float32(value: object) -> object:
    return value.float() if isinstance(value, Tensor) and value.dtype in _HALVES else value
