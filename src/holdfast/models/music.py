"""A recurrent network for piano rolls that predicts each frame as independent keys or as a chord.

Inputs and outputs represent keys in three ways: absolute, relative to the lowest sounding key of
the frame read, and relative to each of its sounding keys. The relative forms transfer what the
network learns of a piece to other musical keys (as the tied networks of Johnson 2017), so that
fewer pieces suffice; the absolute form gives the position.

Letters: T frames, B pieces, K keys, H hidden size, N = T * B frames, M notes of the largest chord.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from holdfast.models.options import MusicOptions
from holdfast.nn.dropout import LockedDropout
from holdfast.nn.layers import LAYERS

FREE, SILENT, SOUNDS = -1, 0, 1
"""Constraint on a key of a sampled frame: none, must not sound, must sound."""
_RollState = list[Any]
"""The lowest key [1, B] of the last frame, and the state of each layer."""
_RARE = -3.0
"""Initial log-odds of a key: about 4 of 88 keys sound."""
_OCTAVE = 12
SPAN = 24
"""The largest move of the lowest key between frames, in semitones, that the input distinguishes."""


@dataclass(frozen=True)
class Context:
    """What the next frame is predicted from.

    Attributes:
        hidden: [..., H], the output of the last layer.
        reference: [...], the lowest sounding key of the frame read.
        frame: [..., K], the frame read.
    """

    hidden: Tensor
    reference: Tensor
    frame: Tensor

    def __getitem__(self, chosen: Any) -> Context:
        """Return the contexts of some frames."""
        return Context(self.hidden[chosen], self.reference[chosen], self.frame[chosen])

    def __len__(self) -> int:
        return self.hidden.size(0)


class _Sample(NamedTuple):
    """Sampled frames [N, K], and the log importance weight [N] of each under its constraints."""

    frames: Tensor
    weight: Tensor


class _KeyLogits(nn.Module):
    """Logits of K keys and ``more`` other outcomes: ``W x + b``, for key k also ``R[k - r] x``.

    ``R`` has one row for each of the 2K - 1 distances from the lowest key r of the frame read.

    Args:
        inputs: size of x.
        keys: K.
        more: outcomes other than keys.
        bias: initial value of b; None for no b.
    """

    def __init__(self, inputs: int, keys: int, more: int = 0, bias: float | None = 0.0) -> None:
        super().__init__()
        self.keys, self.more = keys, more
        self.absolute = nn.Linear(inputs, keys + more, bias=bias is not None)
        self.relative = nn.Linear(inputs, 2 * keys - 1, bias=False)
        if bias is not None:
            nn.init.constant_(self.absolute.bias, bias)

    def forward(self, x: Tensor, reference: Tensor) -> Tensor:
        """Map x [N, inputs] and the lowest keys [N] to [N, K + more]."""
        places = torch.arange(self.keys, device=x.device) - reference[:, None] + self.keys - 1
        relative = self.relative(x).gather(-1, places)
        logits: Tensor = self.absolute(x) + F.pad(relative, (0, self.more))
        return logits


class _IntervalLogits(nn.Module):
    """Logits of key k from the keys around it: ``sum_d m_d(h) x[k - d]``, d up to an octave."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden, 2 * _OCTAVE + 1)

    def forward(self, context: Context) -> Tensor:
        """Return logits [N, K] of N contexts."""
        around = F.pad(context.frame, (_OCTAVE, _OCTAVE)).unfold(-1, 2 * _OCTAVE + 1, 1)
        by_distance = self.linear(context.hidden).flip(-1)
        return torch.bmm(around, by_distance[..., None])[..., 0]


class IndependentKeys(nn.Module):
    """Independent keys: ``p(x) = prod_k p_k^{x_k} (1 - p_k)^{1 - x_k}``."""

    def __init__(self, keys: int, options: MusicOptions) -> None:
        super().__init__()
        self.keys = _KeyLogits(options.hidden_size, keys, bias=_RARE)
        self.moves = _IntervalLogits(options.hidden_size)

    def logits(self, context: Context) -> Tensor:
        """Return the log-odds of each key in N contexts: [N, K]."""
        logits: Tensor = self.keys(context.hidden, context.reference) + self.moves(context)
        return logits

    def nll(self, context: Context, frames: Tensor) -> Tensor:
        """Return ``-log p`` [N] in nats of frames [N, K] in N contexts."""
        logits = self.logits(context)
        return F.binary_cross_entropy_with_logits(logits, frames, reduction="none").sum(-1)

    def sample(
        self,
        context: Context,
        temperature: float = 1.0,
        known: Tensor | None = None,
        random: torch.Generator | None = None,
    ) -> _Sample:
        """Sample frames in N contexts; see :meth:`_Autoregressive.sample`."""
        logits = self.logits(context)
        if temperature:
            uniform = torch.rand(logits.shape, generator=random, device=logits.device)
            frames = uniform < torch.sigmoid(logits / temperature)
        else:
            frames = logits > 0
        if known is None:
            return _Sample(frames, logits.new_zeros(logits.size(0)))
        fixed = known != FREE
        frames = torch.where(fixed, known == SOUNDS, frames)
        log_p = F.logsigmoid(torch.where(frames, logits, -logits))
        return _Sample(frames, torch.where(fixed, log_p, 0.0).sum(-1))


class _Autoregressive(nn.Module):
    """A chord note by note, from the top: ``p(x) = prod_i p(n_i | n_1 > ... > n_{i-1}, h)``.

    The last n_i is the end of the chord. ``p(n_i | ...) = softmax(V relu(c(h) + sum_{j < i} w(n_j -
    r)) + U h + b)`` over the keys below n_{i-1} and the end. V and U are as in :class:`_KeyLogits`;
    U h includes :class:`_IntervalLogits`. These are the conditionals of NADE (Larochelle & Murray
    2011; over time Boulanger-Lewandowski et al. 2012), for sounding keys only. The fixed order
    makes the factorization of a frame unique, so that its likelihood is exact.
    """

    def __init__(self, keys: int, options: MusicOptions) -> None:
        super().__init__()
        hidden, size = options.hidden_size, options.chord_size
        self.keys = keys
        self.note = nn.Embedding(2 * keys - 1, size)
        self.context = nn.Linear(hidden, size)
        self.dropout = nn.Dropout(options.dropout)
        self.logits = _KeyLogits(size, keys, 1)
        self.straight = _KeyLogits(hidden, keys, 1, bias=None)
        self.moves = _IntervalLogits(hidden)

    def nll(self, context: Context, frames: Tensor) -> Tensor:
        """Return ``-log p`` [N] in nats of frames [N, K] in N contexts."""
        read, targets = chords(frames)
        before = torch.cumsum(self._note(read, context.reference), 0) + self.context(context.hidden)
        valid = targets >= 0
        which = valid.nonzero()[:, 1]
        chosen = self.logits(self.dropout(before[valid].relu()), context.reference[which])
        logits = chosen + self._direct(context)[which]
        logits = logits.masked_fill(~self._below(read[valid]), -torch.inf)
        nll = F.cross_entropy(logits, targets[valid], reduction="none")
        return nll.new_zeros(read.shape).masked_scatter(valid, nll).sum(0)

    def _direct(self, context: Context) -> Tensor:
        """Return the part of the logits that depends on the context alone: [N, K + 1]."""
        logits: Tensor = self.straight(context.hidden, context.reference)
        return logits + F.pad(self.moves(context), (0, 1))

    def _note(self, read: Tensor, reference: Tensor) -> Tensor:
        """Embed notes [..., N] as [..., N, size]; K, the start of a chord, is zero."""
        place = read - reference + self.keys - 1
        embedded: Tensor = self.note(place.clamp(max=2 * self.keys - 2)) * (read < self.keys)[..., None]
        return embedded

    def _below(self, last: Tensor) -> Tensor:
        """Return which keys, or the end, may follow the notes ``last`` [...]: [..., K + 1]."""
        every = torch.arange(self.keys + 1, device=last.device)
        return (every < last[..., None]) | (every == self.keys)

    def sample(
        self,
        context: Context,
        temperature: float = 1.0,
        known: Tensor | None = None,
        random: torch.Generator | None = None,
    ) -> _Sample:
        """Sample frames in N contexts.

        Args:
            context: N contexts.
            temperature: divides the logits; 0 takes the most probable note.
            known: constraints [N, K]: :data:`FREE`, :data:`SILENT` or :data:`SOUNDS`. ``weight`` is
                the sum over the notes of the log-probability that the constraints admit. If all
                constrained keys lie above all free keys, as a melody does, ``weight`` equals ``log
                p(known)`` and the rest is an exact sample of ``p(rest | known)``.
            random: the generator of the random numbers.
        """
        reference, before = context.reference, self.context(context.hidden)
        last = torch.full_like(reference, self.keys)
        frames = torch.zeros(last.size(0), self.keys + 1, dtype=torch.bool, device=last.device)
        weight, ended = before.new_zeros(last.size(0)), torch.zeros_like(last, dtype=torch.bool)
        direct = self._direct(context)
        while not ended.all():
            logits = (self.logits(before.relu(), reference) + direct).masked_fill(
                ~self._below(last), -torch.inf
            )
            if known is not None:
                kept = logits.masked_fill(~self._allowed(last, known), -torch.inf)
                weight += torch.where(ended, 0.0, kept.logsumexp(-1) - logits.logsumexp(-1))
                logits = kept
            note = _sample(logits, temperature, random)
            frames |= F.one_hot(note, self.keys + 1).bool() & ~ended[:, None]
            ended, last = ended | (note == self.keys), torch.where(ended, last, note)
            before = before + self._note(note, reference)
        return _Sample(frames[:, :-1], weight)

    def _allowed(self, last: Tensor, known: Tensor) -> Tensor:
        """Return what may follow ``last`` [N] under the constraints [N, K]: [N, K + 1]."""
        every = torch.arange(self.keys, device=last.device)
        due = torch.where((known == SOUNDS) & (every < last[:, None]), every, -1).amax(-1)
        keys = (known != SILENT) & (every >= due[:, None])
        return torch.cat([keys, (due < 0)[:, None]], -1)


def chords(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Convert frames [N, K] to notes from the top: inputs and targets [M + 1, N].

    The inputs begin with K; the targets end with K, the end of the chord, and are padded with -1.

    Example:
        >>> read, targets = chords(torch.tensor([[1, 0, 1], [0, 0, 0]]))
        >>> read.T.tolist(), targets.T.tolist()
        ([[3, 2, 0], [3, 0, 0]], [[2, 0, 3], [3, -1, -1]])
    """
    keys = frames.size(1)
    sounding = frames > 0
    counts = sounding.sum(-1)
    most = int(counts.max()) if frames.size(0) else 0
    notes = torch.where(sounding, torch.arange(keys, device=frames.device), -1)
    notes = notes.topk(most, -1).values.T
    start = notes.new_full((1, frames.size(0)), keys)
    targets = torch.cat([notes, start - keys - 1])
    targets[counts, torch.arange(frames.size(0), device=frames.device)] = keys
    return torch.cat([start, notes.clamp(min=0)]), targets


def _sample(logits: Tensor, temperature: float, random: torch.Generator | None) -> Tensor:
    if not temperature:
        return logits.argmax(-1)
    return torch.multinomial((logits / temperature).softmax(-1), 1, generator=random)[:, 0]


OUTPUTS: dict[str, type[IndependentKeys] | type[_Autoregressive]] = {
    "autoregressive": _Autoregressive,
    "independent": IndependentKeys,
}
"""Name -> the distribution of a frame."""


class PianoRollNetwork(nn.Module):
    """Recurrent layers over the frames of a piano roll, and a distribution of the next frame.

    The input of a frame: its keys, its keys relative to the lowest one, and the move of the lowest
    key, up to :data:`SPAN` semitones. A silent frame keeps the lowest key of the frame before.

    Example:
        >>> import torch
        >>> model = PianoRollNetwork(88, MusicOptions(hidden_size=16, chord_size=8)).eval()
        >>> context, state = model(torch.zeros(7, 2, 88))
        >>> model.output.nll(context[-1], torch.zeros(2, 88)).shape
        torch.Size([2])
    """

    def __init__(self, keys: int, options: MusicOptions) -> None:
        super().__init__()
        self.keys = keys
        sizes = [2 * keys + 2 * SPAN + 1, *[options.hidden_size] * options.num_layers]
        make, drop = LAYERS[options.cell], options.weight_drop
        self.layers = nn.ModuleList(make(a, b, weight_drop=drop) for a, b in pairwise(sizes))
        self.input_dropout = LockedDropout(options.input_dropout)
        self.dropout = LockedDropout(options.dropout)
        self.output = OUTPUTS[options.output](keys, options)

    def forward(self, frames: Tensor, state: _RollState | None = None) -> tuple[Context, _RollState]:
        """Read frames [T, B, K]; return the context after each [T, B], and the state.

        Args:
            frames: 0 or 1.
            state: the state that an earlier call returned; None begins a piece.
        """
        middle = torch.full_like(frames[:1, :, 0], self.keys // 2, dtype=torch.long)
        reference = lowest(frames, middle if state is None else state[0])
        before = torch.cat([reference[:1] if state is None else state[0], reference[:-1]])
        x = self.input_dropout(self._read(frames, reference, before))
        states: _RollState = [reference[-1:]]
        for index, layer in enumerate(self.layers, 1):
            x, after = layer(x, None if state is None else state[index])
            states.append(after)
            x = self.dropout(x)
        return Context(x, reference, frames), states

    def _read(self, frames: Tensor, reference: Tensor, before: Tensor) -> Tensor:
        """Return absolute keys, relative keys and the move: [T, B, 2K + 2 SPAN + 1]."""
        places = torch.arange(self.keys, device=frames.device) + reference[..., None]
        above = F.pad(frames, (0, self.keys)).gather(-1, places)
        movement = F.one_hot((reference - before).clamp(-SPAN, SPAN) + SPAN, 2 * SPAN + 1)
        return torch.cat([frames, above, movement.to(frames)], -1)


def lowest(frames: Tensor, before: Tensor) -> Tensor:
    """Return the lowest sounding key [T, B] of frames [T, B, K].

    A silent frame keeps that of the frame before.

    Args:
        frames: 0 or 1.
        before: [1, B], for silent frames at the beginning.

    Example:
        >>> frames = torch.tensor([[0, 0, 0], [0, 1, 1], [0, 0, 0], [1, 0, 0]])
        >>> lowest(frames[:, None], torch.tensor([[2]])).T
        tensor([[2, 1, 1, 0]])
    """
    sounding = frames > 0
    steps = torch.arange(frames.size(0), device=frames.device)[:, None]
    last = torch.where(sounding.any(-1), steps, -1).cummax(0).values
    lowest_keys = sounding.byte().argmax(-1).gather(0, last.clamp(min=0))
    return torch.where(last >= 0, lowest_keys, before)
