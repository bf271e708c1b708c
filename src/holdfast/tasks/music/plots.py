"""Plots of music: the notes of a piece, and what a model of piano rolls expects in each frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

from holdfast._typing import Array
from holdfast.data.music.meta import bar_lines, score_end
from holdfast.data.music.notes import notes_of
from holdfast.data.music.piano_roll import KEYS, LOWEST, Roll, RollPiece
from holdfast.models.music import Context, IndependentKeys, PianoRollNetwork
from holdfast.reporting.plots import BLUE, GREY, ORANGE, saved_figure, saved_panel
from holdfast.tasks.music.features import pitch_name
from holdfast.tasks.music.request import CompositionRequest

if TYPE_CHECKING:
    from symusic.core import ScoreTick as Score

_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
"""Colors that color-blind readers can distinguish (Okabe & Ito 2008)."""
_MOST_BARS = 16
"""Most bars that are numbered on the axis."""
_PIECES, _FRAMES = 2, 96
"""Most pieces that are plotted, and most frames of each."""
SAMPLES = 200
"""Chords that are sampled for each frame, to estimate the probability of each key."""


def plot_piece(score: Score, request: CompositionRequest, path: Path) -> Path:
    """Plot the notes of a score, time to the right and pitch upwards; the primer is shaded."""
    quarter = score.ticks_per_quarter
    tracks = [track for track in score.tracks if len(track.notes) and not track.is_drum]
    pitches = [p for track in tracks for p in track.notes.numpy()["pitch"].tolist()] or [60]
    low, high = min(pitches) - 2, max(pitches) + 2
    end = max(score_end(score), request.start + request.beats)
    lines = bar_lines(score, end)
    with saved_panel(path, (10.0, 4.2)) as ax:
        for color, track in zip(_COLORS * (1 + len(tracks) // len(_COLORS)), tracks):
            notes = track.notes.numpy()
            starts, lengths = (notes[name] / quarter for name in ("time", "duration"))
            ax.barh(
                notes["pitch"], lengths, 0.8, starts, color=color, edgecolor="white", linewidth=0.4,
                label=track.name or f"program {track.program}",
            )  # fmt: skip
        if request.start and request.beats:
            ax.axvspan(0, request.start, color=GREY, alpha=0.25, lw=0, label="primer")
        step = -(-len(lines) // _MOST_BARS)
        ax.set_xticks(lines[::step], [str(bar) for bar in range(1, len(lines) + 1, step)])
        _pitch_axis(ax, low, high + 1)
        ax.grid(axis="both", color=GREY, alpha=0.3, lw=0.5)
        ax.set_axisbelow(True)
        ax.set(xlim=(0, end), ylim=(low, high), xlabel="bar")
        if tracks:
            ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.14), ncols=min(len(tracks) + 1, 6))
    return path


def _pitch_axis(ax: Axes, low: int, high: int) -> None:
    """Name the notes C and G on the axis."""
    named = [pitch for pitch in range(low, high) if pitch % 12 in (0, 7)]
    ax.set_yticks(named, [pitch_name(pitch) for pitch in named])
    ax.set_ylabel("pitch")


# -- what a model expects --------------------------------------------------------------------------


def plot_expectation(module: PianoRollNetwork, pieces: Sequence[RollPiece], steps: int, path: Path) -> Path:
    """Plot each key's probability and the surprise in each frame of the first pieces.

    Args:
        module: the network.
        pieces: one or more, of 2 frames or more each.
        steps: frames of a beat.
        path: PNG file to write.
    """
    plotted = pieces[:_PIECES]
    with saved_figure(path, (10.0, 4.6 * len(plotted))) as figure:
        ratios = {"height_ratios": [3, 1] * len(plotted)}
        axes = figure.subplots(2 * len(plotted), 1, squeeze=False, gridspec_kw=ratios)[:, 0]
        for place, piece in enumerate(plotted):
            roll = piece.roll[: _FRAMES + 1]
            probabilities, nats = expectation(module, roll)
            image = _keys(axes[2 * place], piece.name, roll, probabilities, steps)
            figure.colorbar(image, ax=axes[2 * place], label="probability", pad=0.01)
            _surprise(axes[2 * place + 1], nats, steps)
    return path


@torch.no_grad()
def expectation(module: PianoRollNetwork, roll: Roll) -> tuple[Array, Array]:
    """Return the probability of each key [T - 1, K], and the nats, of each frame but the first."""
    module.eval()
    weight = next(module.parameters())
    frames = torch.from_numpy(roll).to(weight)
    context = module(frames[:-1, None])[0][:, 0]
    nats = module.output.nll(context, frames[1:])
    return _probabilities(module, context).double().cpu().numpy(), nats.double().cpu().numpy()


def _probabilities(module: PianoRollNetwork, context: Context) -> torch.Tensor:
    """Return the probabilities of independent keys, or shares of sampled chords."""
    if isinstance(module.output, IndependentKeys):
        return torch.sigmoid(module.output.logits(context))
    random = torch.Generator(context.hidden.device).manual_seed(0)
    every = context[torch.arange(len(context), device=context.hidden.device).repeat_interleave(SAMPLES)]
    frames = module.output.sample(every, random=random).frames
    return frames.view(len(context), SAMPLES, -1).double().mean(1)


def _keys(ax: Axes, name: str, roll: Roll, probabilities: Array, steps: int) -> AxesImage:
    """Plot probabilities as shades, and the notes that sound as outlines."""
    used = np.flatnonzero(roll.any(0) | (probabilities > 0.1).any(0))
    low, high = (int(used[0]) - 2, int(used[-1]) + 3) if len(used) else (0, KEYS)
    extent = (1 / steps, len(roll) / steps, LOWEST - 0.5, LOWEST + KEYS - 0.5)
    image = ax.imshow(
        probabilities.T, origin="lower", aspect="auto", cmap="Blues", extent=extent, vmin=0, vmax=1,
        interpolation="nearest",
    )  # fmt: skip
    notes = notes_of(roll)
    ax.barh(
        [note.key + LOWEST for note in notes], [(note.end - note.start) / steps for note in notes], 1.0,
        [note.start / steps for note in notes], fill=False, edgecolor=ORANGE, linewidth=1.0,
    )  # fmt: skip
    ax.set(xlim=(0, len(roll) / steps), ylim=(LOWEST + low, LOWEST + high))
    _pitch_axis(ax, LOWEST + low, LOWEST + high)
    ax.set_title(f"{name}: what is expected (shades) and what sounds (outlines)".replace("$", r"\$"))
    return image


def _surprise(ax: Axes, nats: Array, steps: int) -> None:
    ax.step((np.arange(len(nats) + 1) + 1) / steps, np.append(nats, nats[-1:]), where="post", color=BLUE)
    ax.set(xlim=(0, (len(nats) + 1) / steps), ylim=(0, None), xlabel="beat", ylabel="surprise (nats)")
