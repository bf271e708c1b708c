"""Inspection of a speech recognizer: the first sound of a file, frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from holdfast._typing import Array
from holdfast.data.audio.manifest import Utterance
from holdfast.decoding.ctc import BLANK, GreedyCTC, decode, force_align
from holdfast.errors import UserError
from holdfast.files import counted
from holdfast.insight.analysis.features import side_by_side
from holdfast.insight.analysis.request import FeatureBatch, InspectionRequest, Loss, Score
from holdfast.insight.analysis.results import Steps
from holdfast.models.speech import SpeechNetwork
from holdfast.tasks.speech.dataset import normalized_frames, read_sounds
from holdfast.tasks.speech.plots import transcript_plot
from holdfast.tasks.speech.segments import FRAME
from holdfast.tasks.speech.spectral_features import features, grouped, row_names
from holdfast.tasks.speech.task import SpeechRecognizer
from holdfast.tasks.speech.tokenizer import CTCTokenizer
from holdfast.tasks.speech.trainable import log_probabilities, mean_nats, padded

_BATCH = 16
"""Number of sounds, the longest ones, on which memory and gradients are measured."""
_SEARCHED = 32
"""Number of sounds, spread evenly, that are searched for units that track a feature, and on which
the loss is measured when something is switched off."""
_LONGEST = 60
"""Most characters of a sound's name."""
_SURE = 0.5
"""Probability from which a frame's token is named."""


@dataclass(frozen=True)
class _Sounds:
    """Sounds with their frames [T, F], normalized and plain."""

    utterances: list[Utterance]
    frames: list[Array]
    plain: list[Array]


def inspections(model: SpeechRecognizer, data: Path, steps: int) -> list[InspectionRequest]:
    """Return the first sound of a file, folder or manifest, frame by frame.

    Raises:
        UserError: something is wrong with the file, or the sound is shorter than a frame.
    """
    module, preprocessing = model.fitted()
    tokenizer, frontend = preprocessing.tokenizer, preprocessing.frontend
    factor: int = module.options.subsampling
    sounds = _read(model, data, steps * factor)
    groups = [grouped(own, factor) for own in sounds.plain]
    each = [features(own, frontend.rate is not None, factor * FRAME) for own in groups]
    known = side_by_side(each)
    scores = log_probabilities(module, sounds.frames[:1])[0]
    loss, notes = _loss(module, sounds, tokenizer)
    longest = sorted(range(len(sounds.frames)), key=lambda i: -len(sounds.frames[i]))[:_BATCH]
    return [
        InspectionRequest(
            f"{model.config.network.cell.upper()} speech recognizer on {_shortened(sounds.utterances[0].name)}",
            module,
            _run(module, sounds.frames[:1]),
            Steps(
                _labels(scores, tokenizer, factor * FRAME),
                "frame",
                groups[0].T,
                row_names(frontend.rate, groups[0].shape[1]),
                {name: each[0][name] for name in known},
            ),
            _score(scores, tokenizer, factor * FRAME),
            loss,
            _run(module, [sounds.frames[i] for i in longest]),
            FeatureBatch(_run(module, sounds.frames), known),
            extra_plots=lambda folder: [transcript_plot(model, data, folder / "heard.png")],
            notes=notes,
        )
    ]


def _read(model: SpeechRecognizer, data: Path, most: int) -> _Sounds:
    """Read the first sound and some others, spread evenly; each is cut to ``most`` frames."""
    frontend = model.fitted()[1].frontend
    every = read_sounds(data, model.config.data, frontend)
    chosen = np.unique(np.linspace(0, len(every) - 1, _SEARCHED).round().astype(int)).tolist()
    whole = frontend.kind == "speaker"  # statistics are over all sounds
    read = list(normalized_frames(every if whole else [every[i] for i in chosen], frontend))
    found = [read[i] for i in chosen] if whole else read
    if not len(found[0][1]):
        raise UserError(
            "An inspected sound must have at least 25 ms.",
            f"{found[0][0].name} is shorter.",
            "Give a longer one.",
        )
    there = [(one, frames[:most]) for one, frames in found if len(frames)]
    plain = [frontend.features.get(one)[:most] for one, _ in there]
    return _Sounds([one for one, _ in there], [frames for _, frames in there], plain)


def _shortened(name: str) -> str:
    """Return the beginning of a long name."""
    return name if len(name) <= _LONGEST else f"{name[:_LONGEST]} ..."


def _run(module: SpeechNetwork, frames: Sequence[Array]) -> Callable[[], tuple[Tensor, Tensor]]:
    x, lengths, _, _ = padded(frames, [()] * len(frames))
    x, lengths = (own.to(module.output.weight.device) for own in (x, lengths))
    return lambda: module(x, lengths)


def _labels(scores: Array, tokenizer: CTCTokenizer, step: float) -> list[str]:
    """Return the time of each frame, with its token where the network is sure of one."""
    best = scores.argmax(1)
    sure = (best != BLANK) & (scores.max(1) >= np.log(_SURE))
    named = [
        f" {tokenizer.pieces[token].strip() or 'space'}" if yes else "" for token, yes in zip(best, sure)
    ]
    return [f"{place * step:.2f} s{name}" for place, name in enumerate(named)]


def _score(scores: Array, tokenizer: CTCTokenizer, step: float) -> Score:
    """Return the log odds of the last recognized token, at the frame that is surest of it."""
    spans = force_align(scores, decode(GreedyCTC(), scores))
    if not spans:
        place, token, called = len(scores) - 1, BLANK, "the blank"
    else:
        token, first = spans[-1].token, spans[-1].start
        place = first + int(scores[first : spans[-1].end, token].argmax())
        called = repr(tokenizer.pieces[token].strip() or " ")
    return Score(
        f"log odds of {called} at {place * step:.2f} s",
        lambda answer: _log_odds(answer[0][place, 0], token),
        place,
    )


def _log_odds(scores: Tensor, token: int) -> Tensor:
    """Return ``log p / (1 - p)`` of one of the log-probabilities [N].

    Unlike ``log p``, it still changes where p is near 1.
    """
    others = torch.cat([scores[:token], scores[token + 1 :]])
    return scores[token] - others.logsumexp(0)


def _loss(module: SpeechNetwork, sounds: _Sounds, tokenizer: CTCTokenizer) -> tuple[Loss | None, list[str]]:
    """Return the CTC loss per token of the sounds with a transcript, and notes."""
    note = (
        f"The search for units that track a feature used {counted(len(sounds.frames), 'sound')} of the file."
    )
    pairs = [(f, tokenizer.encode(one.text)) for one, f in zip(sounds.utterances, sounds.frames) if one.text]
    frames, tokens = [f for f, own in pairs if own], [own for _, own in pairs if own]
    if not tokens or not isfinite(mean_nats(log_probabilities(module, frames), tokens)):
        return None, [note, "The file has no transcripts, so there is no loss to measure."]
    return Loss(
        "nats per token",
        lambda: mean_nats(log_probabilities(module, frames), tokens),
        f"on {counted(len(tokens), 'sound')}",
    ), [note]
