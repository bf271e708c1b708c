"""What to inspect in a composer: the first piece of a file, frame by frame or event by event."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from holdfast._typing import Array
from holdfast.data.music.meta import ScoreMeta
from holdfast.data.music.piano_roll import LOWEST, Roll, RollPiece
from holdfast.errors import UserError
from holdfast.files import counted
from holdfast.insight.analysis.features import side_by_side
from holdfast.insight.analysis.request import FeatureBatch, InspectionRequest, Loss, Score
from holdfast.insight.analysis.results import Steps
from holdfast.models.language import RecurrentLanguageModel
from holdfast.models.music import Context, PianoRollNetwork
from holdfast.models.truncated_bptt import texts_nll
from holdfast.tasks.music.features import event_features, frame_features, frame_label, pitch_name
from holdfast.tasks.music.plots import plot_expectation
from holdfast.tasks.music.preprocessing import EventPreprocessing, EventSplit, RollSplit
from holdfast.tasks.music.trainable import batch, mean_nats

if TYPE_CHECKING:
    from holdfast.tasks.music.task import Composer

_PIECES, _WINDOW, _ENOUGH = 16, 200, 8
"""Pieces in which feature units are searched, and frames of each; pieces whose common first steps
are enough to measure memory and gradients."""
_SCORED, _TOKENS = 1500, 300
"""Frames, at least, on which the loss of a model of rolls is measured when something is switched
off; tokens of each piece on which that of a model of events is measured, and in which feature units
are searched."""


def inspections(model: Composer, data: Path, steps: int) -> list[InspectionRequest]:
    """Return a request for the first piece of a file.

    Raises:
        UserError: anything is wrong with the file, or it has no note.
    """
    split, _ = model.read_split(data)
    return [_rolls(model, split, steps) if isinstance(split, RollSplit) else _events(model, split, steps)]


def _rectangle(lengths: Sequence[int]) -> tuple[int, list[int]]:
    """Return a number of steps that enough pieces have, and these pieces."""
    longest = sorted(lengths, reverse=True)
    length = min(_WINDOW, longest[min(_ENOUGH, len(longest)) - 1])
    return length, [i for i, own in enumerate(lengths) if own >= length]


def _title(model: Composer, name: str) -> str:
    return f"{model.config.network.cell.upper()} model of music reading {name}"


def _searched(count: int) -> str:
    return f"Units that track a feature were searched in {counted(count, 'piece')}."


# -- rolls -----------------------------------------------------------------------------------------


def _rolls(model: Composer, split: RollSplit, steps: int) -> InspectionRequest:
    (module, preprocessing), pieces = model.fitted(), split.pieces
    assert isinstance(module, PianoRollNetwork)
    per_beat = model.config.data.steps_per_beat
    signature = pieces[0].signature or preprocessing.signature
    bar = round(ScoreMeta(signature=signature).quarters_per_bar * per_beat)
    roll = pieces[0].roll[: min(steps, len(pieces[0]) - 1)]
    following = pieces[0].roll[len(roll)]
    some: Sequence[RollPiece] = pieces[:_PIECES]
    each = [frame_features(piece.roll[:_WINDOW], per_beat, bar) for piece in some]
    known = side_by_side(each)
    own = frame_features(roll, per_beat, bar)
    length, chosen = _rectangle([len(piece) for piece in some])
    labels = [frame_label(place, per_beat, bar) for place in range(len(roll))]
    scored = _first(pieces)
    return InspectionRequest(
        _title(model, pieces[0].name),
        module,
        _run(module, [roll]),
        Steps(labels, "frame", *_keys(roll), {name: own[name] for name in known}),
        _next_frame(module, following),
        Loss("nats per frame", lambda: mean_nats(module, scored), f"on {counted(len(scored), 'piece')}"),
        _run(module, [some[i].roll[:length] for i in chosen]),
        FeatureBatch(_run(module, [piece.roll[:_WINDOW] for piece in some]), known),
        extra_plots=lambda folder: [plot_expectation(module, some, per_beat, folder / "expected.png")],
        notes=(_searched(len(some)), f"Bars are assumed to begin with the piece, with {bar} frames each."),
    )


def _first(pieces: Sequence[RollPiece]) -> RollSplit:
    """Return the first pieces that have enough frames together."""
    before = np.cumsum([0, *map(len, pieces)])[:-1]
    return RollSplit(tuple(piece for piece, count in zip(pieces, before, strict=True) if count < _SCORED))


def _run(module: PianoRollNetwork, rolls: list[Roll]) -> Callable[[], Context]:
    """Return a function that gives the context after each frame of padded rolls."""
    x = batch(rolls)[0].to(next(module.parameters()).device)
    return lambda: module(x)[0]


def _keys(roll: Roll) -> tuple[Array, list[str]]:
    """Return the keys [F, T] from the lowest to the highest that sounds, and their names."""
    used = np.flatnonzero(roll.any(0))
    low, high = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
    return roll.T[low:high].astype(np.float32), [pitch_name(LOWEST + key) for key in range(low, high)]


def _next_frame(module: PianoRollNetwork, following: Roll) -> Score:
    """Return the log-probability of the frame that follows."""
    chord = " ".join(pitch_name(LOWEST + int(key)) for key in np.flatnonzero(following))
    wanted = torch.from_numpy(following[None].astype(np.float32))

    def of(context: Context) -> Tensor:
        last = context[-1]
        return -module.output.nll(last, wanted.to(last.hidden))[0]

    return Score(f"log-probability of {chord or 'silence'} as the next frame", of)


# -- events ----------------------------------------------------------------------------------------


def _events(model: Composer, split: EventSplit, steps: int) -> InspectionRequest:
    module, preprocessing = model.fitted()
    assert isinstance(module, RecurrentLanguageModel) and isinstance(preprocessing, EventPreprocessing)
    vocabulary, end = preprocessing.vocabulary, split.end
    pieces = [piece for piece in split.pieces if len(piece.ids)]
    if not pieces:
        got = "Its pieces have none."
        raise UserError("A file that is inspected must have notes.", got, "Give another file.")
    whole = [np.concatenate([[end], piece.ids, [end]]) for piece in pieces[:_PIECES]]
    ids, following = whole[0][:-1][:steps], int(whole[0][min(steps, len(whole[0]) - 1)])
    known = side_by_side([event_features(own[:-1][:_TOKENS], vocabulary)[1] for own in whole])
    labels, own = event_features(ids, vocabulary)
    length, chosen = _rectangle([len(own) - 1 for own in whole])
    after = event_features(np.array([*ids, following]), vocabulary)[0][-1]
    name = "the end" if following == end else after
    scored = [piece.ids[:_TOKENS] for piece in pieces[:_PIECES]]
    return InspectionRequest(
        _title(model, pieces[0].name),
        module,
        _read(module, [ids], end),
        Steps(labels, "token", features={name: own[name] for name in known}),
        Score(
            f"log-probability of {name!r} as the next token",
            lambda answer: module.output.log_probabilities(answer.raw[-1])[0][following],
        ),
        Loss(
            "nats per token",
            lambda: _nats_per_token(module, scored, end),
            f"on {counted(len(scored), 'piece')}",
        ),
        _read(module, [whole[i][:length] for i in chosen], end),
        FeatureBatch(_read(module, [own[:-1][:_TOKENS] for own in whole], end), known),
        notes=(_searched(len(whole)),),
    )


def _read(module: RecurrentLanguageModel, texts: Sequence[Array], end: int) -> Callable[[], object]:
    """Return a function that gives the outputs after each event of padded pieces."""
    x = pad_sequence([torch.from_numpy(ids) for ids in texts], padding_value=end)
    x = x.to(next(module.parameters()).device)
    return lambda: module(x)[0]


def _nats_per_token(module: RecurrentLanguageModel, texts: Sequence[Array], end: int) -> float:
    """Return the mean over some pieces; those that were cut count without an end."""
    found = [nats[:_TOKENS] for nats in texts_nll(module, texts, end)]
    return float(np.concatenate(found).mean(dtype=np.float64))
