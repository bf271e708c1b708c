"""A recurrent model of piano rolls, and what it says of a frame: independent keys, or a chord chosen as a whole.

Letters: T frames, B pieces, K keys, H hidden size, N = T * B frames, M notes of the largest chord.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from holdfast.cells import State
from holdfast.layers import LAYERS
from holdfast.models.language import LockedDropout

FREE, SILENT, SOUNDS = -1, 0, 1
"""What may be known of a key: nothing, or whether it sounds."""


@dataclass(frozen=True, kw_only=True)
class RollOptions:
    """What a model of piano rolls is made of.

    Attributes:
        cell: a name in :data:`holdfast.layers.LAYERS`.
        output: a name in :data:`OUTPUTS`.
        hidden_size: H of every layer over the frames.
        num_layers: layers over the frames.
        chord_size: hidden size of the layer over the notes of a chord.
        input_dropout: probability of dropping a key of all frames.
        dropout: probability of dropping a unit between layers and before the output; the same at every frame.
    """

    cell: str = "lstm"
    output: str = "autoregressive"
    hidden_size: int = 256
    num_layers: int = 1
    chord_size: int = 128
    input_dropout: float = 0.0
    dropout: float = 0.0


class Drawn(NamedTuple):
    """Frames [N, K] that were drawn, and ``log p`` [N] of what was known of them, as far as it was drawn against."""

    frames: Tensor
    weight: Tensor


class Independent(nn.Module):
    """Each key by itself: ``p(x) = prod_k p_k^{x_k} (1 - p_k)^{1 - x_k}``, ``p = sigmoid(W h + b)``."""

    def __init__(self, keys: int, options: RollOptions) -> None:
        super().__init__()
        self.linear = nn.Linear(options.hidden_size, keys)

    def nats(self, context: Tensor, frames: Tensor) -> Tensor:
        """``-log p`` [N] of frames [N, K] in a context [N, H]."""
        found = F.binary_cross_entropy_with_logits(self.linear(context), frames, reduction="none")
        return found.sum(-1)

    def sample(
        self,
        context: Tensor,
        temperature: float = 1.0,
        known: Tensor | None = None,
        random: torch.Generator | None = None,
    ) -> Drawn:
        """Draw frames in a context [N, H]; see :meth:`Autoregressive.sample`."""
        logits = self.linear(context)
        if temperature:
            uniform = torch.rand(logits.shape, generator=random, device=logits.device)
            frames = uniform < torch.sigmoid(logits / temperature)
        else:
            frames = logits > 0
        if known is None:
            return Drawn(frames, logits.new_zeros(len(logits)))
        held = known != FREE
        frames = torch.where(held, known == SOUNDS, frames)
        log_p = F.logsigmoid(torch.where(frames, logits, -logits))
        return Drawn(frames, torch.where(held, log_p, 0.0).sum(-1))


class Autoregressive(nn.Module):
    """A chord note by note, from the top down: ``p(x) = prod_i p(n_i | n_1 > ... > n_{i-1}, h)``, the last n_i an end.

    A second recurrence runs over the notes; a softmax over the keys below the last note, and the end, chooses the next
    one. Since the order is given, each frame is reached in one way, and the likelihood of a frame is exact.
    """

    def __init__(self, keys: int, options: RollOptions) -> None:
        super().__init__()
        self.keys, size = keys, options.chord_size
        self.note = nn.Embedding(keys + 1, size)
        self.context = nn.Linear(options.hidden_size, size)
        self.layer = LAYERS[options.cell](size, size)
        self.dropout = nn.Dropout(options.dropout)
        self.linear = nn.Linear(size, keys + 1)
        self.direct = nn.Linear(options.hidden_size, keys + 1, bias=False)

    def nats(self, context: Tensor, frames: Tensor) -> Tensor:
        """``-log p`` [N] of frames [N, K] in a context [N, H]."""
        read, targets = chords(frames)
        outputs, _ = self.layer(self.note(read) + self.context(context))
        there = targets >= 0
        logits = (
            self.linear(self.dropout(outputs[there])) + self.direct(context).expand(len(read), -1, -1)[there]
        )
        logits = logits.masked_fill(~self._below(read[there]), -torch.inf)
        found = F.cross_entropy(logits, targets[there], reduction="none")
        return context.new_zeros(read.shape).masked_scatter(there, found).sum(0)

    def _below(self, last: Tensor) -> Tensor:
        """Which of the K keys and the end may follow the notes ``last`` [...]: [..., K + 1]."""
        every = torch.arange(self.keys + 1, device=last.device)
        return (every < last[..., None]) | (every == self.keys)

    def sample(
        self,
        context: Tensor,
        temperature: float = 1.0,
        known: Tensor | None = None,
        random: torch.Generator | None = None,
    ) -> Drawn:
        """Draw frames in a context [N, H].

        Args:
            context: [N, H].
            temperature: 1 draws as the model says, below 1 the likely becomes likelier, 0 takes the likeliest note.
            known: [N, K] of :data:`FREE`, :data:`SILENT`, :data:`SOUNDS`. The frames keep to it, and ``weight`` is the
                log of the share of probability that did at each note. Where all that is known lies above all that
                is free, as a melody does, that is ``log p(known)``, and the rest is drawn from ``p(rest | known)``
                exactly.
            random: where the random numbers come from.
        """
        last = torch.full((len(context),), self.keys, device=context.device)
        frames = torch.zeros(len(context), self.keys + 1, dtype=torch.bool, device=context.device)
        weight, state, ended = context.new_zeros(len(context)), None, torch.zeros_like(last, dtype=torch.bool)
        given, direct = self.context(context), self.direct(context)
        while not ended.all():
            outputs, state = self.layer((self.note(last) + given)[None], state)
            logits = (self.linear(outputs[0]) + direct).masked_fill(~self._below(last), -torch.inf)
            if known is not None:
                kept = logits.masked_fill(~self._allowed(last, known), -torch.inf)
                weight += torch.where(ended, 0.0, kept.logsumexp(-1) - logits.logsumexp(-1))
                logits = kept
            note = _drawn(logits, temperature, random)
            frames |= F.one_hot(note, self.keys + 1).bool() & ~ended[:, None]
            ended, last = ended | (note == self.keys), torch.where(ended, last, note)
        return Drawn(frames[:, :-1], weight)

    def _allowed(self, last: Tensor, known: Tensor) -> Tensor:
        """What may come after ``last`` [N] by what is known [N, K]: no silent key, and no sounding one left out."""
        every = torch.arange(self.keys, device=last.device)
        due = torch.where((known == SOUNDS) & (every < last[:, None]), every, -1).amax(-1)
        keys = (known != SILENT) & (every >= due[:, None])
        return torch.cat([keys, (due < 0)[:, None]], -1)


def chords(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Frames [N, K] as notes: what is read [M + 1, N] and what follows, top down with the end K; -1 behind the end.

    Example:
        >>> chords(torch.tensor([[1, 0, 1], [0, 0, 0]]))
        (tensor([[ 3,  3],
                [ 2,  0],
                [ 0,  0]]), tensor([[ 2,  3],
                [ 0, -1],
                [ 3, -1]]))
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


OUTPUTS: dict[str, type[Independent] | type[Autoregressive]] = {
    "autoregressive": Autoregressive,
    "independent": Independent,
}
"""Name -> what is said of a frame."""


class RollModel(nn.Module):
    """Recurrent layers over the frames of a piano roll, and an output that says what the next frame may be.

    Example:
        >>> import torch
        >>> model = RollModel(88, RollOptions(hidden_size=16, chord_size=8)).eval()
        >>> context, state = model(torch.zeros(7, 2, 88))
        >>> model.output.nats(context.flatten(0, 1), torch.zeros(14, 88)).shape
        torch.Size([14])
    """

    def __init__(self, keys: int, options: RollOptions) -> None:
        super().__init__()
        self.keys = keys
        sizes = [keys, *[options.hidden_size] * options.num_layers]
        self.layers = nn.ModuleList(LAYERS[options.cell](a, b) for a, b in pairwise(sizes))
        self.input_dropout = LockedDropout(options.input_dropout)
        self.dropout = LockedDropout(options.dropout)
        self.output = OUTPUTS[options.output](keys, options)

    def forward(self, frames: Tensor, state: list[State] | None = None) -> tuple[Tensor, list[State]]:
        """Read frames [T, B, K] from a state (zeros when None): contexts [T, B, H], and the state of each layer."""
        x = self.input_dropout(frames)
        states: list[State] = []
        for index, layer in enumerate(self.layers):
            x, after = layer(x, None if state is None else state[index])
            states.append(after)
            x = self.dropout(x)
        return x, states
