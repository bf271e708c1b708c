"""Plots of sounds: the spectrogram, the probability of each token, and the words over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from holdfast._typing import Array
from holdfast.decoding.ctc import Span, force_align
from holdfast.errors import UserError
from holdfast.reporting.plots import BLACK, BLUE, GREY, ORANGE, saved_figure
from holdfast.tasks.speech.config import DecodingConfig
from holdfast.tasks.speech.decoder import Recognizer
from holdfast.tasks.speech.segments import FRAME, Word, words
from holdfast.tasks.speech.task import SpeechRecognizer
from holdfast.tasks.speech.trainable import log_probabilities

_SOUNDS = 3
"""Most sounds in a plot."""
_LONGEST = 15.0
"""Most seconds in a plot."""
_COLORS = (BLUE, ORANGE, "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#0072b2", "#d55e00")
"""Colors that color-blind readers can distinguish (Okabe & Ito 2008)."""


@dataclass(frozen=True)
class _Alignment:
    """One sound: frames [T, F], ``log p`` [S, V], timed tokens and words."""

    title: str
    frames: Array
    scores: Array
    spans: Sequence[Span]
    words: Sequence[Word]
    step: float


def alignment(recognizer: Recognizer, title: str, frames: Array) -> _Alignment:
    """Align the first seconds of one sound with its text."""
    if not len(frames):
        raise UserError(
            "A plotted sound must have at least 25 ms.", f"{title} is shorter.", "Give a longer one."
        )
    some = frames[: round(_LONGEST / FRAME)]
    scores = log_probabilities(recognizer.module, [some])[0]
    tokens = [token for segment in recognizer.segments(some) for token in segment.tokens]
    spans = force_align(scores, tokens)
    own = words(spans, recognizer.tokenizer, recognizer.step)
    return _Alignment(title, some, scores, spans, own, recognizer.step)


def transcript_plot(model: SpeechRecognizer, data: Path, path: Path) -> Path:
    """Plot the first sounds of a file, folder or manifest with their text over time."""
    recognizer = model.recognizer(DecodingConfig())
    some = islice(model.frames_of(data), _SOUNDS)
    return aligned_plot(
        [alignment(recognizer, one.name, frames) for one, frames in some], recognizer.tokenizer.pieces, path
    )


def aligned_plot(alignments: Sequence[_Alignment], names: Sequence[str], path: Path) -> Path:
    """Plot sounds one below the other; ``names`` are the names of the tokens."""
    heights = [3.0, 2.0, 0.6] * len(alignments)
    with saved_figure(path, (9, 3.8 * len(alignments))) as figure:
        axes = figure.subplots(len(heights), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
        for place, one in enumerate(alignments):
            _spectrogram(axes[3 * place], one)
            _tokens(axes[3 * place + 1], one, names)
            _words(axes[3 * place + 2], one)
    return path


def _spectrogram(ax: Axes, one: _Alignment) -> None:
    seconds = len(one.frames) * FRAME
    low, high = np.percentile(one.frames, [2, 99.5]) if len(one.frames) else (0.0, 1.0)
    ax.imshow(
        one.frames.T,
        origin="lower",
        aspect="auto",
        cmap="cividis",
        extent=(0.0, seconds, 0.0, float(one.frames.shape[1])),
        vmin=float(low),
        vmax=float(high),
        interpolation="nearest",
    )
    for span in one.spans:
        ax.axvline(span.start * one.step, color="white", lw=0.6, alpha=0.7)
    ax.set(title=one.title.replace("$", r"\$"), ylabel="band (mel) or feature", xlim=(0, seconds))
    ax.tick_params(labelbottom=False)


def _tokens(ax: Axes, one: _Alignment, names: Sequence[str]) -> None:
    seconds = len(one.frames) * FRAME
    at = (np.arange(len(one.scores)) + 0.5) * one.step
    chances = np.exp(one.scores)
    ax.fill_between(at, chances[:, 0], color=GREY, alpha=0.35, lw=0)
    for color, token in zip(cycle(_COLORS), sorted({span.token for span in one.spans})):
        ax.plot(at, chances[:, token], color=color, lw=1.2)
    for span in one.spans:
        middle = (span.start + span.end) / 2 * one.step
        ax.text(middle, 1.04, _shown(names[span.token]), ha="center", va="bottom", fontsize=8)
    ax.set(xlim=(0, seconds), ylim=(0, 1.25), yticks=[0, 0.5, 1], ylabel="tokens\n(grey: blank)")
    ax.tick_params(labelbottom=False)


def _words(ax: Axes, one: _Alignment) -> None:
    edge = 0.05 * len(one.frames) * FRAME
    for word in one.words:
        middle = max((word.start + word.end) / 2, edge)
        ax.plot([word.start, word.end], [1, 1], color=BLACK, lw=3, solid_capstyle="butt")
        ax.text(middle, 0.7, _shown(word.text), ha="center", va="top", fontsize=8)
        ax.text(middle, -0.25, f"{word.confidence:.2f}", ha="center", va="top", fontsize=7, color="#555555")
    ax.set(xlim=(0, len(one.frames) * FRAME), ylim=(-1.2, 1.2), yticks=[], ylabel="words")
    ax.set_xlabel("seconds (below each word: the network's confidence, 0 to 1)")


def _shown(name: str) -> str:
    """Return a name without formulas of matplotlib; a space becomes a visible character."""
    return name.replace(" ", "\N{OPEN BOX}") if name.isspace() else name.strip().replace("$", r"\$")
