"""Everything that is found of one sequence in one network: :func:`analyze`, and :func:`inspect` for any torch model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from holdfast._typing import Array
from holdfast.errors import UserError
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
from holdfast.insight.analysis.results import FeatureUnit, GradientFlow, Inspection, LayerTrace, Steps
from holdfast.insight.analysis.upcast import with_float32_copy

_REVERSE = (
    "The memory is measured at each sequence's last step, where the reverse direction of a layer has read that step "
    "only: the curve is what the forward direction keeps. The gradients are of each direction from its own end."
)


def analyze(request: InspectionRequest) -> Inspection:
    """Gates, units that track something, memory, gradients, attribution and ablation of one sequence.

    What cannot be measured is left out, with the reason in ``notes``.

    Raises:
        UserError: the network has no recurrent layers, none ran, none has as many steps as are described, the first
            sequence has none, or inputs or activations are not finite.
    """
    with eval_mode(request.model):  # the score's own layers too: no dropout in any of them
        return _inspected(request)


def _inspected(request: InspectionRequest) -> Inspection:
    notes = list(request.notes)
    seen = _seen(request, notes)
    layers = [_layer(one) for call in seen for one in split_directions(call)]
    exact, features = request.exact or request, _features(request)
    if any(getattr(call.module, "bidirectional", False) for call in seen):
        notes.append(_REVERSE)
    found = Inspection(
        request.title,
        request.steps,
        layers,
        _tracked(request, layers, features),
        tuple(features),
        _tried(
            lambda: memory.memory_curve(exact.model, exact.measured_run, layers=exact.layers), "memory", notes
        ),
        _tried(
            lambda: gradient_flow.gradient_flows(request.model, request.measured_run, layers=request.layers),
            "gradients",
            notes,
        )
        or (),
        _attribution(exact, notes),
        _ablation(request, seen, notes),
        notes=notes,
        sequences=_sequences(request),
    )
    found = _called(found, request.names)
    return replace(found, summary=summary.sentences(found))


def _sequences(request: InspectionRequest) -> int:
    """In how many units that follow something are looked for."""
    known = () if request.feature_batch is None else tuple(request.feature_batch.features.values())
    return int(known[0].shape[1]) if known else 1


def _called(found: Inspection, names: Mapping[str, str]) -> Inspection:
    """Parts by what they are called in words."""

    def flow(one: GradientFlow) -> GradientFlow:
        name = names.get(one.name, one.name)
        return replace(one, name=name, sentence=name + one.sentence.removeprefix(one.name))

    layers = [replace(layer, name=names.get(layer.name, layer.name)) for layer in found.layers]
    return replace(found, layers=layers, gradients=[flow(one) for one in found.gradients])


def _seen(request: InspectionRequest, notes: list[str]) -> list[CallChain]:
    """The first call of each recurrent module that is looked at and has the sequence's steps."""
    found = capture_chains(request.model, request.run, request.layers)
    looked = first_by_module(found)
    notes += _more_than_once(found)
    if not request.steps:
        raise UserError(
            "The first sequence is inspected.", "It has no step.", "Put one that is not empty first."
        )
    seen = [call for call in looked.values() if int(call.lengths[0]) == len(request.steps)]
    if not seen:
        lengths = ", ".join(f"{call.name or 'the model'}: {int(call.lengths[0])}" for call in looked.values())
        raise UserError(
            "The steps are as many as the recurrent layers are given.",
            f"There are {len(request.steps)} labels; steps of the layers: {lengths or 'none ran'}.",
            "Give a label for each step.",
        )
    others = [call.name or "the model" for call in looked.values() if call not in seen]
    if others:
        notes.append(f"Not shown, for they run another number of steps: {', '.join(others)}.")
    for call in seen:
        require_finite(call.name, call.x, call.lengths, "input")
    return seen


def _more_than_once(found: Sequence[CallChain]) -> Iterator[str]:
    """A note for each module that was called again with something else, or in pieces."""
    for name, one in first_by_module(found).items():
        times = [len(chain.places) for chain in found if chain.name == name]
        told = name or "The layer"
        if times[0] > 1:
            yield f"{told} was called {times[0]} times, each with the state from the call before: one sequence."
        if len(times) > 1:
            yield (
                f"{told} was called {sum(times)} times; what is shown is its first call, of {one.x.size(0)} steps. "
                "Calls are one sequence where each is given the state that the one before gave, "
                "by a layer of one direction."
            )


def _layer(one: LayerDirection) -> LayerTrace:
    """What a layer does, all of it finite."""
    for name, values in one.activations().items():
        require_finite(one.name, values, one.lengths, name)
    return gates.trace_layer(one)


def _features(request: InspectionRequest) -> dict[str, Array]:
    """What is looked for, in several sequences where there are some, laid end to end."""
    known = request.feature_batch.features if request.feature_batch else request.steps.features
    return feature_units.searchable_features({name: v.reshape(len(v), -1) for name, v in known.items()})


def _tracked(
    request: InspectionRequest, layers: Sequence[LayerTrace], features: Mapping[str, Array]
) -> Sequence[FeatureUnit]:
    """Units that follow something."""
    if request.feature_batch is None:
        return feature_units.find_feature_units(layers, features)
    names = {layer.name for layer in layers}
    seen = first_by_module(capture_chains(request.model, request.feature_batch.run, request.layers))
    states = [
        one.activations() for call in seen.values() for one in split_directions(call) if one.name in names
    ]
    flat = [{n: v.transpose(0, 1).flatten(0, 1).numpy() for n, v in one.items()} for one in states]
    return feature_units.find_feature_units(
        [replace(layer, activations=own) for layer, own in zip(layers, flat, strict=True)], features
    )


def _tried(measure: Callable[[], Any], what: str, notes: list[str]) -> Any:
    """What a measurement gives; None, and a note, where it refuses."""
    try:
        return measure()
    except UserError as error:
        notes.append(f"The {what} could not be measured. {error}")
        return None


def _attribution(request: InspectionRequest, notes: list[str]) -> Any:
    if request.score is None:
        notes.append("Attribution needs score=: a number that the model answers with.")
        return None
    score = request.score
    return _tried(lambda: attribution.attribute(request, score), "attribution", notes)


def _ablation(request: InspectionRequest, seen: Sequence[LayerCall], notes: list[str]) -> Any:
    if request.loss is None:
        return None
    if any(not ablation.has_own_weights(call.module) for call in seen):
        notes.append(
            "Layers whose weights are computed from others (weight norm) are left out of the ablation."
        )
    return ablation.ablate(request.model, list(seen), request.loss)


# -- any torch model ------------------------------------------------------------------------------------------

_BATCHED = "Of the batch, the first sequence is shown; memory and gradients are of all."
_WITHOUT_LOSS = "Ablation needs loss=: a function that gives the loss on data the model was not trained on."


class ModelInspector:
    """The recurrent layers of a torch model (torch.nn's or Holdfast's), to be inspected while it runs.

    Called with what the model takes, it runs the model and gives the :class:`Inspection`:

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
                f"It was a {type(model).__name__}.",
                "Pass the model.",
            )
        self.model = model

    def __call__(
        self,
        *inputs: Any,
        steps: Steps | Sequence[str] | None = None,
        score: Callable[[Any], Tensor] | None = None,
        loss: Callable[[], Any] | None = None,
        title: str | None = None,
        **named: Any,
    ) -> Inspection:
        """Run the model on these inputs and look at the first sequence of the batch.

        A model in bfloat16 or float16 is copied, and memory and attribution are measured on the copy in float32.

        Args:
            inputs: what the model is called with.
            steps: labels of the steps, or a :class:`Steps` with features that units may track; numbers when None.
            score: the model's answer -> the number that attribution explains. When None, and the answer is a tensor (or
                a tuple that begins with one): its largest element of the first sequence's last step.
            loss: gives the loss on data that training has not seen, for ablation; none is done without.
            title: of the report.
            named: keyword arguments that the model is called with, such as ``lengths=``.

        Raises:
            UserError: no recurrent layer, none that ran, labels that do not fit, an empty batch, or values that are
                not finite.
        """
        model = self.model

        def run() -> Any:
            return model(*inputs, **named)

        first = capture_chains(model, run)[0]
        notes = [*([_BATCHED] if first.x.size(1) > 1 else []), *([_WITHOUT_LOSS] if loss is None else [])]
        largest = Score("largest output after the last step", largest_last_output(first))
        request = InspectionRequest(
            title or f"{type(model).__name__}: what its gates do",
            model,
            run,
            self._steps(first, steps),
            largest if score is None else Score("score", lambda answer: score(answer).reshape(-1)[0], None),
            None if loss is None else Loss("as loss= gives it", lambda: float(loss())),
            notes=notes,
        )
        return analyze(with_float32_copy(request, inputs, named))

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
    """Look into the recurrent layers of any torch model: see :class:`ModelInspector`.

    Example:
        >>> import torch
        >>> inspect(torch.nn.GRU(2, 4))(torch.zeros(9, 1, 2)).layers[0].cell
        'gru'
    """
    return ModelInspector(model)
