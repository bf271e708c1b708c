"""Everything that is found of one sequence in one network: :func:`inspect`, and :func:`watch` for any torch model."""

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
from holdfast.insight.analysis.call_chains import Chain, chains, firsts, refuse_infinite
from holdfast.insight.analysis.default_target import largest_after
from holdfast.insight.analysis.layer_capture import Call, Played, evaluated, played
from holdfast.insight.analysis.request import Loss, Score, Subject
from holdfast.insight.analysis.results import Flow, Inspection, Part, Steps, Tracked
from holdfast.insight.analysis.upcast import in_float32

_REVERSE = (
    "The memory is measured at each sequence's last step, where the reverse direction of a layer has read that step "
    "only: the curve is what the forward direction keeps. The gradients are of each direction from its own end."
)


def inspect(subject: Subject) -> Inspection:
    """Gates, units that track something, memory, gradients, attribution and ablation of one sequence.

    What cannot be measured is left out, with the reason in ``notes``.

    Raises:
        UserError: the network has no recurrent layers, none ran, none has as many steps as are described, the first
            sequence has none, or inputs or activations are not finite.
    """
    with evaluated(subject.model):  # the score's own layers too: no dropout in any of them
        return _inspected(subject)


def _inspected(subject: Subject) -> Inspection:
    notes = list(subject.notes)
    seen = _seen(subject, notes)
    parts = [_part(one) for call in seen for one in played(call)]
    exact, features = subject.exact or subject, _features(subject)
    if any(getattr(call.module, "bidirectional", False) for call in seen):
        notes.append(_REVERSE)
    found = Inspection(
        subject.title,
        subject.steps,
        parts,
        _tracked(subject, parts, features),
        tuple(features),
        _tried(lambda: memory.horizon(exact.model, exact.batch_or_run, layers=exact.layers), "memory", notes),
        _tried(
            lambda: gradient_flow.flows(subject.model, subject.batch_or_run, layers=subject.layers),
            "gradients",
            notes,
        )
        or (),
        _attribution(exact, notes),
        _ablation(subject, seen, notes),
        notes=notes,
        sequences=_sequences(subject),
    )
    found = _called(found, subject.names)
    return replace(found, words=summary.words(found))


def _sequences(subject: Subject) -> int:
    """In how many units that follow something are looked for."""
    known = () if subject.several is None else tuple(subject.several.features.values())
    return int(known[0].shape[1]) if known else 1


def _called(found: Inspection, names: Mapping[str, str]) -> Inspection:
    """Parts by what they are called in words."""

    def flow(one: Flow) -> Flow:
        name = names.get(one.name, one.name)
        return replace(one, name=name, words=name + one.words.removeprefix(one.name))

    parts = [replace(part, name=names.get(part.name, part.name)) for part in found.parts]
    return replace(found, parts=parts, flows=[flow(one) for one in found.flows])


def _seen(subject: Subject, notes: list[str]) -> list[Chain]:
    """The first call of each recurrent module that is looked at and has the sequence's steps."""
    found = chains(subject.model, subject.run, subject.layers)
    looked = firsts(found)
    notes += _more_than_once(found)
    if not subject.steps:
        raise UserError(
            "The first sequence is inspected.", "It has no step.", "Put one that is not empty first."
        )
    seen = [call for call in looked.values() if int(call.lengths[0]) == len(subject.steps)]
    if not seen:
        lengths = ", ".join(f"{call.name or 'the model'}: {int(call.lengths[0])}" for call in looked.values())
        raise UserError(
            "The steps are as many as the recurrent layers are given.",
            f"There are {len(subject.steps)} labels; steps of the layers: {lengths or 'none ran'}.",
            "Give a label for each step.",
        )
    others = [call.name or "the model" for call in looked.values() if call not in seen]
    if others:
        notes.append(f"Not shown, for they run another number of steps: {', '.join(others)}.")
    for call in seen:
        refuse_infinite(call.name, call.x, call.lengths, "input")
    return seen


def _more_than_once(found: Sequence[Chain]) -> Iterator[str]:
    """A note for each module that was called again with something else, or in pieces."""
    for name, one in firsts(found).items():
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


def _part(one: Played) -> Part:
    """What a layer does, all of it finite."""
    for name, values in one.activations().items():
        refuse_infinite(one.name, values, one.lengths, name)
    return gates.part(one)


def _features(subject: Subject) -> dict[str, Array]:
    """What is looked for, in several sequences where there are some, laid end to end."""
    known = subject.several.features if subject.several else subject.steps.features
    return feature_units.changing_enough({name: v.reshape(len(v), -1) for name, v in known.items()})


def _tracked(subject: Subject, parts: Sequence[Part], features: Mapping[str, Array]) -> Sequence[Tracked]:
    """Units that follow something."""
    if subject.several is None:
        return feature_units.tracked(parts, features)
    names = {part.name for part in parts}
    seen = firsts(chains(subject.model, subject.several.run, subject.layers))
    states = [one.activations() for call in seen.values() for one in played(call) if one.name in names]
    flat = [{n: v.transpose(0, 1).flatten(0, 1).numpy() for n, v in one.items()} for one in states]
    return feature_units.tracked(
        [replace(part, activations=own) for part, own in zip(parts, flat, strict=True)], features
    )


def _tried(measure: Callable[[], Any], what: str, notes: list[str]) -> Any:
    """What a measurement gives; None, and a note, where it refuses."""
    try:
        return measure()
    except UserError as error:
        notes.append(f"The {what} could not be measured. {error}")
        return None


def _attribution(subject: Subject, notes: list[str]) -> Any:
    if subject.score is None:
        notes.append("Attribution needs score=: a number that the model answers with.")
        return None
    score = subject.score
    return _tried(lambda: attribution.attributed(subject, score), "attribution", notes)


def _ablation(subject: Subject, seen: Sequence[Call], notes: list[str]) -> Any:
    if subject.loss is None:
        return None
    if any(not ablation.has_own_weights(call.module) for call in seen):
        notes.append(
            "Layers whose weights are computed from others (weight norm) are left out of the ablation."
        )
    return ablation.ablated(subject.model, list(seen), subject.loss)


# -- any torch model ------------------------------------------------------------------------------------------

_BATCHED = "Of the batch, the first sequence is shown; memory and gradients are of all."
_WITHOUT_LOSS = "Ablation needs loss=: a function that gives the loss on data the model was not trained on."


class Watch:
    """The recurrent layers of a torch model (torch.nn's or Holdfast's), to be inspected while it runs.

    Called with what the model takes, it runs the model and gives the :class:`Inspection`:

    Example:
        >>> import torch
        >>> from holdfast.insight import watch
        >>> model = torch.nn.LSTM(3, 8, batch_first=True)
        >>> found = watch(model)(torch.randn(1, 50, 3))
        >>> found.parts[0].activations["forget"].shape
        (50, 8)
    """

    def __init__(self, model: nn.Module) -> None:
        if not isinstance(model, nn.Module):
            raise UserError(
                "watch takes a torch.nn.Module.", f"It was a {type(model).__name__}.", "Pass the model."
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

        first = chains(model, run)[0]
        notes = [*([_BATCHED] if first.x.size(1) > 1 else []), *([_WITHOUT_LOSS] if loss is None else [])]
        largest = Score("largest output after the last step", largest_after(first))
        subject = Subject(
            title or f"{type(model).__name__}: what its gates do",
            model,
            run,
            self._steps(first, steps),
            largest if score is None else Score("score", lambda answer: score(answer).reshape(-1)[0], None),
            None if loss is None else Loss("as loss= gives it", lambda: float(loss())),
            notes=notes,
        )
        return inspect(in_float32(subject, inputs, named))

    @staticmethod
    def _steps(call: Call, given: Steps | Sequence[str] | None) -> Steps:
        length = int(call.lengths[0])
        if given is None:
            x = call.x[:length, 0]
            names = [f"input {k}" for k in range(x.size(1))] if x.size(1) <= 8 else []
            rows = x.T.numpy() if names else None
            return Steps([str(k) for k in range(length)], "step", rows, names, dict(zip(names, x.T.numpy())))
        return given if isinstance(given, Steps) else Steps([str(label) for label in given])


def watch(model: nn.Module) -> Watch:
    """Look into the recurrent layers of any torch model: see :class:`Watch`.

    Example:
        >>> import torch
        >>> watch(torch.nn.GRU(2, 4))(torch.zeros(9, 1, 2)).parts[0].cell
        'gru'
    """
    return Watch(model)
