"""What is looked at in a recogniser: the first sound of a file, frame by frame, and what is heard in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from holdfast._typing import Array
from holdfast.data.audio.manifest import Utterance
from holdfast.decoding.ctc import BLANK, GreedyCTC, decode, force_align
from holdfast.errors import UserError
from holdfast.insight.analysis.features import side_by_side
from holdfast.insight.analysis.request import FeatureBatch, InspectionRequest, Loss, Score
from holdfast.insight.analysis.results import Steps
from holdfast.tasks.speech import dataset
from holdfast.tasks.speech.segments import FRAME
from holdfast.tasks.speech.spectral_features import features, grouped, row_names
from holdfast.tasks.speech.task import SpeechRecognizer
from holdfast.tasks.speech.tokenizer import Alphabet
from holdfast.tasks.speech.trainable import mean_nats, padded, scores_of

BATCH, LOOKED_AT = 16, 32
"""Sounds (the longest) in which memory and gradients are measured; sounds, spread evenly, in which units that track
something are looked for, and on which the loss is measured when something is switched off."""
LONGEST = 60
"""Characters of a sound's name that are shown."""
SURE = 0.5
"""Probability from which the unit that is heard at a frame is named."""


@dataclass(frozen=True)
class _Heard:
    """Sounds with their frames as the network reads them, and as they are [T, F]."""

    utterances: list[Utterance]
    frames: list[Array]
    plain: list[Array]


def subjects(model: SpeechRecognizer, data: Path, steps: int) -> list[InspectionRequest]:
    """The first sound of a file, folder or manifest; its steps are the frames that the recurrent layers are given.

    Raises:
        UserError: what is wrong with the file, or the sound is shorter than a frame.
    """
    module, alphabet, sounds = model.module, model.alphabet, model.sounds
    assert module is not None and alphabet is not None and sounds is not None
    factor: int = module.options.subsampling  # type: ignore[union-attr, assignment]
    heard = _read(model, data, steps * factor)
    groups = [grouped(own, factor) for own in heard.plain]
    each = [features(own, sounds.rate is not None, factor * FRAME) for own in groups]
    known = side_by_side(each)
    scores = scores_of(module, heard.frames[:1])[0]  # type: ignore[arg-type]
    loss, notes = _loss(module, heard, alphabet)
    longest = sorted(range(len(heard.frames)), key=lambda i: -len(heard.frames[i]))[:BATCH]
    return [
        InspectionRequest(
            f"{model.config.network.cell.upper()} recogniser hearing {_shortened(heard.utterances[0].name)}",
            module,
            _run(module, heard.frames[:1]),
            Steps(
                _labels(scores, alphabet, factor * FRAME),
                "frame",
                groups[0].T,
                row_names(sounds.rate, groups[0].shape[1]),
                {name: each[0][name] for name in known},
            ),
            _score(scores, alphabet, factor * FRAME),
            loss,
            _run(module, [heard.frames[i] for i in longest]),
            FeatureBatch(_run(module, heard.frames), known),
            extra_plots=lambda folder: [_drawn(model, data, folder / "heard.png")],
            notes=notes,
        )
    ]


def _read(model: SpeechRecognizer, data: Path, most: int) -> _Heard:
    """The first sound and some others, spread evenly, each cut to so many frames."""
    assert model.sounds is not None
    every = dataset.to_hear(data, model.config.data, model.sounds)
    chosen = np.unique(np.linspace(0, len(every) - 1, LOOKED_AT).round().astype(int)).tolist()
    whole = model.sounds.kind == "speaker"  # whose statistics are over all of them
    read = list(dataset.heard_frames(every if whole else [every[i] for i in chosen], model.sounds))
    found = [read[i] for i in chosen] if whole else read
    if not len(found[0][1]):
        raise UserError(
            "A sound that is inspected lasts 25 ms or more.",
            f"{found[0][0].name} does not.",
            "Give a longer one.",
        )
    there = [(one, frames[:most]) for one, frames in found if len(frames)]
    plain = [model.sounds.features.get(one)[:most] for one, _ in there]
    return _Heard([one for one, _ in there], [frames for _, frames in there], plain)


def _shortened(name: str) -> str:
    """A name of several files by its beginning."""
    return name if len(name) <= LONGEST else f"{name[:LONGEST]} ..."


def _run(module: Any, frames: Sequence[Array]) -> Callable[[], tuple[Tensor, Tensor]]:
    x, lengths, _, _ = padded(frames, [()] * len(frames))
    x, lengths = (own.to(module.output.weight.device) for own in (x, lengths))
    return lambda: module(x, lengths)


def _labels(scores: Array, alphabet: Alphabet, step: float) -> list[str]:
    """The time of each frame, and the unit that is heard at it where the network is sure of one."""
    best = scores.argmax(1)
    sure = (best != BLANK) & (scores.max(1) >= np.log(SURE))
    named = [f" {alphabet.pieces[unit].strip() or 'space'}" if yes else "" for unit, yes in zip(best, sure)]
    return [f"{place * step:.2f} s{name}" for place, name in enumerate(named)]


def _score(scores: Array, alphabet: Alphabet, step: float) -> Score:
    """The log odds of the last unit that is heard, at the frame at which the network is surest of it."""
    spans = force_align(scores, decode(GreedyCTC(), scores))
    if not spans:
        place, unit, called = len(scores) - 1, BLANK, "no unit"
    else:
        unit, first = spans[-1].token, spans[-1].start
        place = first + int(scores[first : spans[-1].end, unit].argmax())
        called = repr(alphabet.pieces[unit].strip() or " ")
    return Score(
        f"log odds of {called} at {place * step:.2f} s",
        lambda answer: _log_odds(answer[0][place, 0], unit),
        place,
    )


def _log_odds(scores: Tensor, unit: int) -> Tensor:
    """``log p / (1 - p)`` of one of the log-probabilities [N]; unlike ``log p`` it does not stand still where p is
    nearly 1.
    """
    others = torch.cat([scores[:unit], scores[unit + 1 :]])
    return scores[unit] - others.logsumexp(0)


def _loss(module: Any, heard: _Heard, alphabet: Alphabet) -> tuple[Loss | None, list[str]]:
    """Nats of CTC for each unit of the sounds whose text is known; and what to tell."""
    told = f"Units that track something were looked for in {len(heard.frames)} sounds of the file."
    pairs = [(f, alphabet.encode(one.text)) for one, f in zip(heard.utterances, heard.frames) if one.text]
    frames, units = [f for f, own in pairs if own], [own for _, own in pairs if own]
    if not units or not isfinite(mean_nats(scores_of(module, frames), units)):
        return None, [told, "The file does not say what is said: there is no loss to measure."]
    return Loss(
        "nats per unit", lambda: mean_nats(scores_of(module, frames), units), f"on {len(units)} sounds"
    ), [told]


def _drawn(model: SpeechRecognizer, data: Path, path: Path) -> Path:
    """The first sounds as pictures."""
    from holdfast.tasks.speech.plots import heard_plot  # loads matplotlib

    return heard_plot(model, data, path)
