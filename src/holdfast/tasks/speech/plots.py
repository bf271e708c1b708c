"""A sound as a picture: its spectrogram with the words below in time, and how sure the network is of each unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from holdfast._typing import Array
from holdfast.decoding.ctc import Span, force_align
from holdfast.errors import UserError
from holdfast.reporting.plots import BLACK, BLUE, GREY, ORANGE, picture
from holdfast.tasks.speech.config import DecodingConfig
from holdfast.tasks.speech.decoder import Recogniser
from holdfast.tasks.speech.segments import FRAME, Word, words
from holdfast.tasks.speech.task import SpeechRecognizer

DRAWN = 3
"""Sounds that are drawn, at most."""
LONGEST = 15.0
"""Seconds that are drawn, at most."""


@dataclass(frozen=True)
class _Drawing:
    """What is drawn of one sound: frames [T, F], ``log p`` [S, V], its units and words in time."""

    title: str
    frames: Array
    scores: Array
    spans: Sequence[Span]
    words: Sequence[Word]
    step: float


def drawing(recogniser: Recogniser, title: str, frames: Array) -> _Drawing:
    """One sound as it is heard, its first seconds."""
    from holdfast.tasks.speech.trainable import scores_of

    if not len(frames):
        raise UserError(
            "A sound that is drawn lasts 25 ms or more.", f"{title} does not.", "Give a longer one."
        )
    some = frames[: round(LONGEST / FRAME)]
    scores = scores_of(recogniser.module, [some])[0]
    units = [unit for segment in recogniser.heard(some) for unit in segment.units]
    spans = force_align(scores, units)
    own = words(spans, recogniser.alphabet, recogniser.step)
    return _Drawing(title, some, scores, spans, own, recogniser.step)


def heard_plot(model: SpeechRecognizer, data: Path, path: Path) -> Path:
    """The first sounds of a file, folder or manifest with their text in time."""
    assert model.alphabet is not None
    recogniser = model.recogniser(DecodingConfig())
    some = islice(model.sounds_of(data), DRAWN)
    return aligned_plot(
        [drawing(recogniser, one.name, frames) for one, frames in some], model.alphabet.pieces, path
    )


def aligned_plot(drawings: Sequence[_Drawing], names: Sequence[str], path: Path) -> Path:
    """Sounds below each other; ``names`` says what each unit is called."""
    heights = [3.0, 2.0, 0.6] * len(drawings)
    with picture(path, (9, 3.8 * len(drawings))) as figure:
        axes = figure.subplots(len(heights), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
        for place, one in enumerate(drawings):
            _spectrogram(axes[3 * place], one)
            _units(axes[3 * place + 1], one, names)
            _words(axes[3 * place + 2], one)
    return path


def _spectrogram(ax: Axes, one: _Drawing) -> None:
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


def _units(ax: Axes, one: _Drawing, names: Sequence[str]) -> None:
    seconds = len(one.frames) * FRAME
    at = (np.arange(len(one.scores)) + 0.5) * one.step
    chances = np.exp(one.scores)
    ax.fill_between(at, chances[:, 0], color=GREY, alpha=0.35, lw=0)
    for colour, unit in zip(_colours(), sorted({span.token for span in one.spans})):
        ax.plot(at, chances[:, unit], color=colour, lw=1.2)
    for span in one.spans:
        middle = (span.start + span.end) / 2 * one.step
        ax.text(middle, 1.04, _shown(names[span.token]), ha="center", va="bottom", fontsize=8)
    ax.set(xlim=(0, seconds), ylim=(0, 1.25), yticks=[0, 0.5, 1], ylabel="units\n(grey: none)")
    ax.tick_params(labelbottom=False)


def _words(ax: Axes, one: _Drawing) -> None:
    edge = 0.05 * len(one.frames) * FRAME
    for word in one.words:
        middle = max((word.start + word.end) / 2, edge)
        ax.plot([word.start, word.end], [1, 1], color=BLACK, lw=3, solid_capstyle="butt")
        ax.text(middle, 0.7, _shown(word.text), ha="center", va="top", fontsize=8)
        ax.text(middle, -0.25, f"{word.confidence:.2f}", ha="center", va="top", fontsize=7, color="#555555")
    ax.set(xlim=(0, len(one.frames) * FRAME), ylim=(-1.2, 1.2), yticks=[], ylabel="words")
    ax.set_xlabel("seconds (below each word: how sure the network is of it)")


def _colours() -> list[str]:
    """Lines side by side, safe for colour-blind readers (Okabe & Ito 2008), again and again."""
    return [BLUE, ORANGE, "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#0072b2", "#d55e00"] * 8


def _shown(name: str) -> str:
    """A name without what matplotlib would take for a formula; a space as a sign."""
    return (
        name.replace("$", r"\$").replace(" ", "\N{OPEN BOX}")
        if name.isspace()
        else name.strip().replace("$", r"\$")
    )
