"""What a model of rolls expects of each frame, against what sounds in it, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes

from holdfast._typing import Array
from holdfast.data.music.notes import notes_of
from holdfast.data.music.piano_roll import KEYS, LOWEST, Roll, RollPiece
from holdfast.models.music import Context, IndependentKeys, PianoRollNetwork
from holdfast.reporting.plots import BLUE, ORANGE, picture
from holdfast.tasks.music.plots import pitch_name

DRAWN, FRAMES = 2, 96
"""Pieces that are drawn, and frames of each, at most."""
DRAWS = 200
"""Chords that are drawn for each frame, where the share of those with a key stands for its probability."""


def expected_plot(module: PianoRollNetwork, pieces: Sequence[RollPiece], steps: int, path: Path) -> Path:
    """The first of some pieces: how likely the model holds each key, frame by frame, and how surprised it is.

    Args:
        module: the network.
        pieces: one or more, of two frames or more each.
        steps: frames of a beat.
        path: of the PNG file.
    """
    drawn = pieces[:DRAWN]
    with picture(path, (10.0, 4.6 * len(drawn))) as figure:
        ratios = {"height_ratios": [3, 1] * len(drawn)}
        axes = figure.subplots(2 * len(drawn), 1, squeeze=False, gridspec_kw=ratios)[:, 0]
        for place, piece in enumerate(drawn):
            roll = piece.roll[: FRAMES + 1]
            chances, nats = expected(module, roll)
            image = _keys(axes[2 * place], piece.name, roll, chances, steps)
            figure.colorbar(image, ax=axes[2 * place], label="probability", pad=0.01)
            _surprise(axes[2 * place + 1], nats, steps)
    return path


@torch.no_grad()
def expected(module: PianoRollNetwork, roll: Roll) -> tuple[Array, Array]:
    """The probability of each key in each frame but the first [T - 1, K], and the nats of these frames [T - 1]."""
    module.eval()
    weight = next(module.parameters())
    frames = torch.from_numpy(roll).to(weight)
    context = module(frames[:-1, None])[0][:, 0]
    nats = module.output.nll(context, frames[1:])
    return _chances(module, context).double().cpu().numpy(), nats.double().cpu().numpy()


def _chances(module: PianoRollNetwork, context: Context) -> torch.Tensor:
    """Exact for independent keys; of chords, whose sum over all has no end, the share of some that are drawn."""
    if isinstance(module.output, IndependentKeys):
        return torch.sigmoid(module.output.logits(context))
    random = torch.Generator(context.hidden.device).manual_seed(0)
    every = context[torch.arange(len(context), device=context.hidden.device).repeat_interleave(DRAWS)]
    frames = module.output.sample(every, random=random).frames
    return frames.view(len(context), DRAWS, -1).double().mean(1)


def _keys(ax: Axes, name: str, roll: Roll, chances: Array, steps: int) -> Any:
    """Probabilities as shades, and what sounds as outlines."""
    used = np.flatnonzero(roll.any(0) | (chances > 0.1).any(0))
    low, high = (int(used[0]) - 2, int(used[-1]) + 3) if len(used) else (0, KEYS)
    extent = (1 / steps, len(roll) / steps, LOWEST - 0.5, LOWEST + KEYS - 0.5)
    image = ax.imshow(
        chances.T, origin="lower", aspect="auto", cmap="Blues", extent=extent, vmin=0, vmax=1,
        interpolation="nearest",
    )  # fmt: skip
    notes = notes_of(roll)
    ax.barh(
        [note.key + LOWEST for note in notes], [(note.end - note.start) / steps for note in notes], 1.0,
        [note.start / steps for note in notes], fill=False, edgecolor=ORANGE, linewidth=1.0,
    )  # fmt: skip
    ax.set(xlim=(0, len(roll) / steps), ylim=(LOWEST + low, LOWEST + high), ylabel="pitch")
    ax.set_yticks([pitch for pitch in range(LOWEST + low, LOWEST + high) if pitch % 12 in (0, 7)])
    ax.set_yticklabels([pitch_name(int(pitch)) for pitch in ax.get_yticks()])
    ax.set_title(f"{name}: what is expected (shades) and what sounds (outlines)".replace("$", r"\$"))
    return image


def _surprise(ax: Axes, nats: Array, steps: int) -> None:
    ax.step((np.arange(len(nats) + 1) + 1) / steps, np.append(nats, nats[-1:]), where="post", color=BLUE)
    ax.set(xlim=(0, (len(nats) + 1) / steps), ylim=(0, None), xlabel="beat", ylabel="surprise (nats)")
