"""What is looked at in a composer: the first piece of a file, frame by frame or token by token, and what follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from holdfast._typing import Array
from holdfast.data.music.meta import DEFAULT_TIME_SIGNATURE, ScoreMeta
from holdfast.data.music.piano_roll import LOWEST, Roll, RollPiece
from holdfast.data.music.remi import EventVocabulary
from holdfast.errors import UserError
from holdfast.insight.analysis.features import side_by_side
from holdfast.insight.analysis.request import FeatureBatch, InspectionRequest, Loss, Score
from holdfast.insight.analysis.results import Steps
from holdfast.models.truncated_bptt import texts_nll
from holdfast.tasks.music import frame_features, token_features
from holdfast.tasks.music.plots import pitch_name
from holdfast.tasks.music.task import Composer
from holdfast.tasks.music.trainable import mean_nats

PIECES, WINDOW, ENOUGH = 16, 200, 8
"""Pieces in which units that track something are looked for, and frames of each; memory and gradients are measured in
their first steps, as many as enough of them have."""
SCORED, TOKENS = 1500, 300
"""Frames, at least, on which a model of rolls' loss is measured when something is switched off; tokens of each piece on
which that of a model of events is, and in which units that track something are looked for."""


def subjects(model: Composer, data: Path, steps: int) -> list[InspectionRequest]:
    """The first piece of a file.

    Raises:
        UserError: what is wrong with the file, or there is no note in it.
    """
    return _LOOKS[model.config.network.model](model, data, steps)


def _rectangle(lengths: Sequence[int]) -> tuple[int, list[int]]:
    """A number of steps, and the pieces that have as many: the longest ones, of which there are enough."""
    longest = sorted(lengths, reverse=True)
    length = min(WINDOW, longest[min(ENOUGH, len(longest)) - 1])
    return length, [i for i, own in enumerate(lengths) if own >= length]


def _title(model: Composer, name: str) -> str:
    return f"{model.config.network.cell.upper()} model of music reading {name}"


def _told(count: int) -> str:
    return f"Units that track something were looked for in {count} pieces."


# -- rolls ------------------------------------------------------------------------------------------------------


def _rolls(model: Composer, data: Path, steps: int) -> list[InspectionRequest]:
    module, pieces = model.fitted(), model.part(data)
    per_beat = model.config.data.steps_per_beat
    usual = tuple(model.learnt.get("signature", DEFAULT_TIME_SIGNATURE))
    bar = round(ScoreMeta(signature=pieces[0].signature or usual).quarters_per_bar * per_beat)
    roll = pieces[0].roll[: min(steps, len(pieces[0]) - 1)]
    following = pieces[0].roll[len(roll)]
    some: Sequence[RollPiece] = pieces[:PIECES]
    each = [frame_features.features(piece.roll[:WINDOW], per_beat, bar) for piece in some]
    known = side_by_side(each)
    own = frame_features.features(roll, per_beat, bar)
    length, chosen = _rectangle([len(piece) for piece in some])
    labels = [frame_features.label(place, per_beat, bar) for place in range(len(roll))]
    scored = _first(pieces)
    return [
        InspectionRequest(
            _title(model, pieces[0].name),
            module,
            _run(module, [roll]),
            Steps(labels, "frame", *_keys(roll), {name: own[name] for name in known}),
            _next_frame(module, following),
            Loss("nats per frame", lambda: mean_nats(module, scored), f"on {len(scored)} pieces"),
            _run(module, [some[i].roll[:length] for i in chosen]),
            FeatureBatch(_run(module, [piece.roll[:WINDOW] for piece in some]), known),
            extra_plots=lambda folder: [_drawn(module, some, per_beat, folder / "expected.png")],
            notes=(_told(len(some)), f"Bars are taken to begin with the piece, of {bar} frames each."),
        )
    ]


def _first(pieces: Sequence[RollPiece]) -> tuple[RollPiece, ...]:
    """The first pieces that have so many frames together."""
    before = np.cumsum([0, *map(len, pieces)])[:-1]
    return tuple(piece for piece, count in zip(pieces, before, strict=True) if count < SCORED)


def _run(module: Any, rolls: Sequence[Roll]) -> Callable[[], Any]:
    """The context after each frame of some rolls; shorter ones end with silence."""
    table = np.zeros((max(map(len, rolls)), len(rolls), rolls[0].shape[1]), np.float32)
    for column, roll in enumerate(rolls):
        table[: len(roll), column] = roll
    x = torch.from_numpy(table).to(next(module.parameters()).device)
    return lambda: module(x)[0]


def _keys(roll: Roll) -> tuple[Array, list[str]]:
    """The keys [F, T] between the lowest and the highest that sounds, and what they are called."""
    used = np.flatnonzero(roll.any(0))
    low, high = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
    return roll.T[low:high].astype(np.float32), [pitch_name(LOWEST + key) for key in range(low, high)]


def _next_frame(module: Any, following: Roll) -> Score:
    """The log-probability of the frame that follows."""
    chord = " ".join(pitch_name(LOWEST + int(key)) for key in np.flatnonzero(following))
    wanted = torch.from_numpy(following[None].astype(np.float32))

    def of(context: Any) -> Tensor:
        last = context[-1]
        return -module.output.nll(last, wanted.to(last.hidden))[0]  # type: ignore[no-any-return]

    return Score(f"log-probability of {chord or 'silence'} as what follows", of)


def _drawn(module: Any, pieces: Sequence[RollPiece], steps: int, path: Path) -> Path:
    from holdfast.tasks.music.expectation_plot import expected_plot  # loads matplotlib

    return expected_plot(module, pieces, steps, path)


# -- events -----------------------------------------------------------------------------------------------------


def _events(model: Composer, data: Path, steps: int) -> list[InspectionRequest]:
    module, part = model.fitted(), model.part(data)
    vocabulary = EventVocabulary.from_state(model.learnt)
    lines = [line for line in part.lines if len(line.ids)]
    if not lines:
        raise UserError("A file that is inspected has notes.", f"{data} has none.", "Give another piece.")
    whole = [np.concatenate([[part.end], line.ids, [part.end]]) for line in lines[:PIECES]]
    ids, following = whole[0][:-1][:steps], int(whole[0][min(steps, len(whole[0]) - 1)])
    known = side_by_side([token_features.read(own[:-1][:TOKENS], vocabulary)[1] for own in whole])
    labels, own = token_features.read(ids, vocabulary)
    length, chosen = _rectangle([len(own) - 1 for own in whole])
    name = (
        token_features.read(np.array([*ids, following]), vocabulary)[0][-1]
        if following != part.end
        else "the end"
    )
    scored = [line.ids[:TOKENS] for line in lines[:PIECES]]
    return [
        InspectionRequest(
            _title(model, lines[0].name),
            module,
            _read(module, [ids], part.end),
            Steps(labels, "token", features={name: own[name] for name in known}),
            Score(
                f"log-probability of {name!r} as what follows",
                lambda answer: module.output.log_probabilities(answer.raw[-1])[0][following],
            ),
            Loss(
                "nats per token",
                lambda: _nats_per_token(module, scored, part.end),
                f"on {len(scored)} pieces",
            ),
            _read(module, [whole[i][:length] for i in chosen], part.end),
            FeatureBatch(_read(module, [own[:-1][:TOKENS] for own in whole], part.end), known),
            notes=(_told(len(whole)),),
        )
    ]


def _read(module: Any, texts: Sequence[Array], end: int) -> Callable[[], Any]:
    """The outputs after each event of some pieces; shorter ones are filled up with ends."""
    table = np.full((max(map(len, texts)), len(texts)), end, np.int64)
    for column, ids in enumerate(texts):
        table[: len(ids), column] = ids
    x = torch.from_numpy(table).to(next(module.parameters()).device)
    return lambda: module(x)[0]


def _nats_per_token(module: Any, texts: Sequence[Array], end: int) -> float:
    """Over some pieces, those that were cut without an end."""
    found = [nats[:TOKENS] for nats in texts_nll(module, texts, end)]
    return float(np.concatenate(found).mean(dtype=np.float64))


_LOOKS = {"roll": _rolls, "events": _events}
"""Name of a model -> what is looked at in it."""
