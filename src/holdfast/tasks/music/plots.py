"""A piece as a picture: time to the right, pitch upwards, voices by colour."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from holdfast.data.music.key_detection import NAMES
from holdfast.data.music.meta import bar_lines, score_end
from holdfast.reporting.plots import GREY, draw
from holdfast.tasks.music.request import Wish

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
"""Okabe and Ito's, which colour-blind readers can tell apart (2008)."""
MOST_BARS = 16
"""Bars that are named on the axis."""


def pitch_name(pitch: int) -> str:
    """Of a MIDI pitch: 60 is C4."""
    return f"{NAMES[pitch % 12]}{pitch // 12 - 1}"


def piano_roll(score: Any, wish: Wish, path: Path) -> Path:
    """Draw the notes of a score; a primer is shaded."""
    quarter = score.ticks_per_quarter
    tracks = [track for track in score.tracks if len(track.notes) and not track.is_drum]
    pitches = [p for track in tracks for p in track.notes.numpy()["pitch"].tolist()] or [60]
    low, high = min(pitches) - 2, max(pitches) + 2
    end = max(score_end(score), wish.start + wish.beats)
    lines = bar_lines(score, end)

    def paint(axes: Sequence[Axes]) -> None:
        (ax,) = axes
        for colour, track in zip(COLOURS * (1 + len(tracks) // len(COLOURS)), tracks):
            notes = track.notes.numpy()
            starts, lengths = (notes[name] / quarter for name in ("time", "duration"))
            ax.barh(
                notes["pitch"], lengths, 0.8, starts, color=colour, edgecolor="white", linewidth=0.4,
                label=track.name or f"program {track.program}",
            )  # fmt: skip
        if wish.start and wish.beats:
            ax.axvspan(0, wish.start, color=GREY, alpha=0.25, lw=0, label="primer")
        step = -(-len(lines) // MOST_BARS)
        ax.set_xticks(lines[::step], [str(bar) for bar in range(1, len(lines) + 1, step)])
        ax.set_yticks([p for p in range(low, high + 1) if p % 12 in (0, 7)])
        ax.set_yticklabels([pitch_name(int(p)) for p in ax.get_yticks()])
        ax.grid(axis="both", color=GREY, alpha=0.3, lw=0.5)
        ax.set_axisbelow(True)
        ax.set(xlim=(0, end), ylim=(low, high), xlabel="bar", ylabel="pitch")
        if tracks:
            ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.14), ncols=min(len(tracks) + 1, 6))

    return draw(path, (10.0, 4.2), 1, paint)
