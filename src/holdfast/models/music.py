"""A recurrent model of piano rolls, and what it says of a frame: independent keys, or a chord chosen as a whole.

Keys are read and said as they are, relative to the lowest that sounds in the frame that is read, and relative to each
that sounds in it. By the last two, what is learnt of a piece holds for the same piece in another key (as with the tied
networks of Johnson 2017), so that fewer pieces are enough; by the first, the network knows where it is.

Letters: T frames, B pieces, K keys, H hidden size, N = T * B frames, M notes of the largest chord.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from holdfast.nn.dropout import LockedDropout
from holdfast.nn.layers import LAYERS

FREE, SILENT, SOUNDS = -1, 0, 1
"""What may be known of a key: nothing, or whether it sounds."""
_RollState = list[Any]
"""The lowest key [1, B] of the last frame, and the state of each layer."""
_RARE = -3.0
"""Log odds of a key at first: of 88 some four sound."""
OCTAVE = 12
SPAN = 24
"""Semitones by which the lowest key moves from frame to frame, as far as the network tells them apart."""


@dataclass(frozen=True, kw_only=True)
class PianoRollOptions:
    """What a model of piano rolls is made of.

    Attributes:
        cell: a name in :data:`holdfast.nn.layers.LAYERS`.
        output: a name in :data:`OUTPUTS`.
        hidden_size: H of every layer over the frames.
        num_layers: layers over the frames.
        chord_size: hidden units that choose the next note of a chord.
        input_dropout: probability of dropping a key of all frames.
        dropout: probability of dropping a unit between layers and before the output; the same at every frame.
        weight_drop: probability of dropping an element of the recurrent weights.
    """

    cell: str = "lstm"
    output: str = "autoregressive"
    hidden_size: int = 256
    num_layers: int = 1
    chord_size: int = 128
    input_dropout: float = 0.0
    dropout: float = 0.0
    weight_drop: float = 0.0


@dataclass(frozen=True)
class Context:
    """What a model knows before frames: hidden [..., H]; of the frame it read the lowest key [...] and all [..., K]."""

    hidden: Tensor
    reference: Tensor
    frame: Tensor

    def __getitem__(self, chosen: Any) -> Context:
        """The contexts of some frames."""
        return Context(self.hidden[chosen], self.reference[chosen], self.frame[chosen])

    def __len__(self) -> int:
        return len(self.hidden)


class _Drawn(NamedTuple):
    """Frames [N, K] that were drawn, and ``log p`` [N] of what was known of them, as far as it was drawn against."""

    frames: Tensor
    weight: Tensor


class Keys(nn.Module):
    """Numbers of the K keys and of ``more`` things beside them: ``W x + b``, and for key k also ``R[k - r] x``.

    ``R`` has a row for each of the 2K - 1 distances from the lowest key r of the frame that was read.

    Args:
        inputs: size of x.
        keys: K.
        more: rows of W beside those of the keys.
        bias: where b begins; None for no b.
    """

    def __init__(self, inputs: int, keys: int, more: int = 0, bias: float | None = 0.0) -> None:
        super().__init__()
        self.keys, self.more = keys, more
        self.absolute = nn.Linear(inputs, keys + more, bias=bias is not None)
        self.relative = nn.Linear(inputs, 2 * keys - 1, bias=False)
        if bias is not None:
            nn.init.constant_(self.absolute.bias, bias)

    def forward(self, x: Tensor, reference: Tensor) -> Tensor:
        """[N, inputs] and the lowest keys [N] -> [N, K + more]."""
        places = torch.arange(self.keys, device=x.device) - reference[:, None] + self.keys - 1
        relative = self.relative(x).gather(-1, places)
        found: Tensor = self.absolute(x) + F.pad(relative, (0, self.more))
        return found


class Moves(nn.Module):
    """What the keys that sounded say of those around them, in a context: ``sum_d m_d(h) x[k - d]``, d to an octave."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden, 2 * OCTAVE + 1)

    def forward(self, context: Context) -> Tensor:
        """Of N contexts: [N, K]."""
        around = F.pad(context.frame, (OCTAVE, OCTAVE)).unfold(-1, 2 * OCTAVE + 1, 1)
        by_distance = self.linear(context.hidden).flip(-1)
        return torch.bmm(around, by_distance[..., None])[..., 0]


class IndependentKeys(nn.Module):
    """Each key by itself: ``p(x) = prod_k p_k^{x_k} (1 - p_k)^{1 - x_k}``, p of :class:`Keys` and :class:`Moves`."""

    def __init__(self, keys: int, options: PianoRollOptions) -> None:
        super().__init__()
        self.keys = Keys(options.hidden_size, keys, bias=_RARE)
        self.moves = Moves(options.hidden_size)

    def logits(self, context: Context) -> Tensor:
        """Log odds of each key in N contexts: [N, K]."""
        found: Tensor = self.keys(context.hidden, context.reference) + self.moves(context)
        return found

    def nll(self, context: Context, frames: Tensor) -> Tensor:
        """``-log p`` [N] of frames [N, K] in N contexts."""
        logits = self.logits(context)
        return F.binary_cross_entropy_with_logits(logits, frames, reduction="none").sum(-1)

    def sample(
        self,
        context: Context,
        temperature: float = 1.0,
        known: Tensor | None = None,
        random: torch.Generator | None = None,
    ) -> _Drawn:
        """Draw frames in N contexts; see :meth:`_Autoregressive.sample`."""
        logits = self.logits(context)
        if temperature:
            uniform = torch.rand(logits.shape, generator=random, device=logits.device)
            frames = uniform < torch.sigmoid(logits / temperature)
        else:
            frames = logits > 0
        if known is None:
            return _Drawn(frames, logits.new_zeros(len(logits)))
        held = known != FREE
        frames = torch.where(held, known == SOUNDS, frames)
        log_p = F.logsigmoid(torch.where(frames, logits, -logits))
        return _Drawn(frames, torch.where(held, log_p, 0.0).sum(-1))


class _Autoregressive(nn.Module):
    """A chord note by note, from the top down: ``p(x) = prod_i p(n_i | n_1 > ... > n_{i-1}, h)``, the last n_i an end.

    ``p(n_i | ...) = softmax(V relu(c(h) + sum_{j < i} w(n_j - r)) + U h + b)`` over the keys below n_{i-1} and the end,
    with V and U as in :class:`Keys`, and U h with :class:`Moves`: the conditionals of NADE (Larochelle & Murray 2011;
    over time Boulanger-Lewandowski et al. 2012) for the keys that sound only. Since the order is given, a frame is
    reached in one way, and its likelihood is exact.
    """

    def __init__(self, keys: int, options: PianoRollOptions) -> None:
        super().__init__()
        hidden, size = options.hidden_size, options.chord_size
        self.keys = keys
        self.note = nn.Embedding(2 * keys - 1, size)
        self.context = nn.Linear(hidden, size)
        self.dropout = nn.Dropout(options.dropout)
        self.logits = Keys(size, keys, 1)
        self.straight = Keys(hidden, keys, 1, bias=None)
        self.moves = Moves(hidden)

    def nll(self, context: Context, frames: Tensor) -> Tensor:
        """``-log p`` [N] of frames [N, K] in N contexts."""
        read, targets = chords(frames)
        before = torch.cumsum(self._note(read, context.reference), 0) + self.context(context.hidden)
        there = targets >= 0
        which = there.nonzero()[:, 1]
        chosen = self.logits(self.dropout(before[there].relu()), context.reference[which])
        logits = chosen + self._direct(context)[which]
        logits = logits.masked_fill(~self._below(read[there]), -torch.inf)
        found = F.cross_entropy(logits, targets[there], reduction="none")
        return found.new_zeros(read.shape).masked_scatter(there, found).sum(0)

    def _direct(self, context: Context) -> Tensor:
        """What the context says of each key and the end, whatever was chosen: [N, K + 1]."""
        found: Tensor = self.straight(context.hidden, context.reference)
        return found + F.pad(self.moves(context), (0, 1))

    def _note(self, read: Tensor, reference: Tensor) -> Tensor:
        """What the notes [..., N] add: [..., N, size]; nothing where there is none yet, which is K."""
        place = read - reference + self.keys - 1
        found: Tensor = self.note(place.clamp(max=2 * self.keys - 2)) * (read < self.keys)[..., None]
        return found

    def _below(self, last: Tensor) -> Tensor:
        """Which of the K keys and the end may follow the notes ``last`` [...]: [..., K + 1]."""
        every = torch.arange(self.keys + 1, device=last.device)
        return (every < last[..., None]) | (every == self.keys)

    def sample(
        self,
        context: Context,
        temperature: float = 1.0,
        known: Tensor | None = None,
        random: torch.Generator | None = None,
    ) -> _Drawn:
        """Draw frames in N contexts.

        Args:
            context: of the N frames.
            temperature: 1 draws as the model says, below 1 the likely becomes likelier, 0 takes the likeliest note.
            known: [N, K] of :data:`FREE`, :data:`SILENT`, :data:`SOUNDS`. The frames keep to it, and ``weight`` is the
                log of the share of probability that did at each note. Where all that is known lies above all that
                is free, as a melody does, that is ``log p(known)``, and the rest is drawn from ``p(rest | known)``
                exactly.
            random: where the random numbers come from.
        """
        reference, before = context.reference, self.context(context.hidden)
        last = torch.full_like(reference, self.keys)
        frames = torch.zeros(len(context), self.keys + 1, dtype=torch.bool, device=last.device)
        weight, ended = before.new_zeros(len(context)), torch.zeros_like(last, dtype=torch.bool)
        direct = self._direct(context)
        while not ended.all():
            logits = (self.logits(before.relu(), reference) + direct).masked_fill(
                ~self._below(last), -torch.inf
            )
            if known is not None:
                kept = logits.masked_fill(~self._allowed(last, known), -torch.inf)
                weight += torch.where(ended, 0.0, kept.logsumexp(-1) - logits.logsumexp(-1))
                logits = kept
            note = _drawn(logits, temperature, random)
            frames |= F.one_hot(note, self.keys + 1).bool() & ~ended[:, None]
            ended, last = ended | (note == self.keys), torch.where(ended, last, note)
            before = before + self._note(note, reference)
        return _Drawn(frames[:, :-1], weight)

    def _allowed(self, last: Tensor, known: Tensor) -> Tensor:
        """What may come after ``last`` [N] by what is known [N, K]: no silent key, and no sounding one left out."""
        every = torch.arange(self.keys, device=last.device)
        due = torch.where((known == SOUNDS) & (every < last[:, None]), every, -1).amax(-1)
        keys = (known != SILENT) & (every >= due[:, None])
        return torch.cat([keys, (due < 0)[:, None]], -1)


def chords(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Frames [N, K] as notes: what is read [M + 1, N] and what follows, top down with the end K; -1 behind the end.

    Example:
        >>> read, targets = chords(torch.tensor([[1, 0, 1], [0, 0, 0]]))
        >>> read.T.tolist(), targets.T.tolist()
        ([[3, 2, 0], [3, 0, 0]], [[2, 0, 3], [3, -1, -1]])
    """
    keys = frames.size(1)
    sounding = frames > 0
    counts = sounding.sum(-1)
    most = int(counts.max()) if len(frames) else 0
    notes = torch.where(sounding, torch.arange(keys, device=frames.device), -1)
    notes = notes.topk(most, -1).values.T
    start = notes.new_full((1, len(frames)), keys)
    targets = torch.cat([notes, start - keys - 1])
    targets[counts, torch.arange(len(frames), device=frames.device)] = keys
    return torch.cat([start, notes.clamp(min=0)]), targets


def _drawn(logits: Tensor, temperature: float, random: torch.Generator | None) -> Tensor:
    if not temperature:
        return logits.argmax(-1)
    return torch.multinomial((logits / temperature).softmax(-1), 1, generator=random)[:, 0]


OUTPUTS: dict[str, type[IndependentKeys] | type[_Autoregressive]] = {
    "autoregressive": _Autoregressive,
    "independent": IndependentKeys,
}
"""Name -> what is said of a frame."""


class PianoRollNetwork(nn.Module):
    """Recurrent layers over the frames of a piano roll, and an output that says what the next frame may be.

    What is read of a frame: its keys, the same from the lowest one on, and by how much that moved, up to :data:`SPAN`
    semitones. In silence the lowest key is that of the frame before.

    Example:
        >>> import torch
        >>> model = PianoRollNetwork(88, PianoRollOptions(hidden_size=16, chord_size=8)).eval()
        >>> context, state = model(torch.zeros(7, 2, 88))
        >>> model.output.nll(context[-1], torch.zeros(2, 88)).shape
        torch.Size([2])
    """

    def __init__(self, keys: int, options: PianoRollOptions) -> None:
        super().__init__()
        self.keys = keys
        sizes = [2 * keys + 2 * SPAN + 1, *[options.hidden_size] * options.num_layers]
        make, drop = LAYERS[options.cell], options.weight_drop
        self.layers = nn.ModuleList(make(a, b, weight_drop=drop) for a, b in pairwise(sizes))
        self.input_dropout = LockedDropout(options.input_dropout)
        self.dropout = LockedDropout(options.dropout)
        self.output = OUTPUTS[options.output](keys, options)

    def forward(self, frames: Tensor, state: _RollState | None = None) -> tuple[Context, _RollState]:
        """Read frames [T, B, K]: the context after each [T, B], and the state.

        Args:
            frames: 0 and 1.
            state: what an earlier call gave; the beginning of a piece when None.
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
        """Keys, those from the reference on, and its movement: [T, B, 2K + 2 SPAN + 1]."""
        places = torch.arange(self.keys, device=frames.device) + reference[..., None]
        above = F.pad(frames, (0, self.keys)).gather(-1, places)
        movement = F.one_hot((reference - before).clamp(-SPAN, SPAN) + SPAN, 2 * SPAN + 1)
        return torch.cat([frames, above, movement.to(frames)], -1)


def lowest(frames: Tensor, before: Tensor) -> Tensor:
    """The lowest key that sounds in each of the frames [T, B, K]: [T, B]; in silence that of the frame before.

    Args:
        frames: 0 and 1.
        before: [1, B], for silence at the beginning.

    Example:
        >>> frames = torch.tensor([[0, 0, 0], [0, 1, 1], [0, 0, 0], [1, 0, 0]])
        >>> lowest(frames[:, None], torch.tensor([[2]])).T
        tensor([[2, 1, 1, 0]])
    """
    sounding = frames > 0
    steps = torch.arange(len(frames), device=frames.device)[:, None]
    last = torch.where(sounding.any(-1), steps, -1).cummax(0).values
    found = sounding.byte().argmax(-1).gather(0, last.clamp(min=0))
    return torch.where(last >= 0, found, before)
