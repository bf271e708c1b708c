"""Read a text in parallel streams: truncated back-propagation through time, and scoring."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from holdfast._typing import Array
from holdfast.errors import UserError
from holdfast.models.language import RecurrentLanguageModel
from holdfast.nn.cells import State

_Batch = tuple[Tensor, Tensor, Tensor]
"""Tokens [T, B], the tokens that follow [T, B], and each stream's state factor [B]: 0 or 1."""
_CHUNK = 256
"""Steps that are scored at once."""
_STREAMS, _MIN_TOKENS = 32, 1000
"""Most streams of the validation, and fewest tokens of each: a stream begins without context."""


class StreamSettings(Protocol):
    """The settings of :class:`StreamTraining`, as those of a language model have them."""

    @property
    def seed(self) -> int:
        """Seed of the offsets of epochs and of the resets."""

    @property
    def steps(self) -> int:
        """Time steps after which back-propagation is truncated."""

    @property
    def reset(self) -> float:
        """Probability that the state of a stream is reset to zeros there."""

    @property
    def activation(self) -> float:
        """Weight of the activation regularization of the last layer's outputs."""

    @property
    def change(self) -> float:
        """Weight of the temporal activation regularization, on the change from step to step."""

    def streams(self, length: int) -> int:
        """Return the number of streams for a text, each of at least twice ``steps`` tokens."""


class StreamTraining:
    """Train along B streams of a text, with the state carried from one step to the next.

    It is a :class:`holdfast.training.trainable.Trainable`. An epoch begins with zero states, at an
    offset below ``steps`` that depends on its number and the seed. The state of a stream is also
    reset at random (Melis et al. 2018, arXiv 1707.05589): a network that rarely sees the first
    tokens of a text in training may fail on them.

    Args:
        module: the network.
        settings: the training settings.
        train: tokens [n] of the training split.
        valid: tokens of the validation split.
        begin: the token before the first.

    Raises:
        UserError: the training split is too short.
    """

    monitor = "valid_loss"

    def __init__(
        self,
        module: RecurrentLanguageModel,
        settings: StreamSettings,
        train: Array,
        valid: Array,
        begin: int,
    ) -> None:
        self.module, self.valid, self.begin, self.settings = module, valid, begin, settings
        self.train, self.steps = train, settings.steps
        self.streams = settings.streams(len(train))
        if self.streams < 1:
            raise UserError(
                "The training split must be at least twice as long as --steps.",
                f"It has {len(train)} tokens for {self.steps} steps.",
                "Add data, or lower --steps.",
            )
        self.length = len(train) // self.streams
        self.steps_per_epoch = (self.length - self.steps) // self.steps
        self.state: list[State] | None = None

    def text(self, epoch: int) -> Array:
        """Return the tokens [n] of an epoch; a subclass may vary them."""
        return self.train

    def batches(self, epoch: int) -> Iterator[_Batch]:
        """Yield consecutive segments of the streams."""
        self.state = None
        text = self.text(epoch)[: self.streams * self.length].reshape(self.streams, self.length)
        rng = np.random.default_rng((self.settings.seed, epoch))
        first = int(rng.integers(self.steps))
        for k in range(self.steps_per_epoch):
            at = first + k * self.steps
            segment = torch.from_numpy(text[:, at : at + self.steps + 1].astype(np.int64).T.copy())
            kept = rng.random(self.streams) >= self.settings.reset
            yield segment[:-1], segment[1:], torch.from_numpy(kept.astype(np.float32))

    def loss(self, batch: _Batch) -> Tensor:
        """Return nats per token, plus the two regularization terms (Merity et al. 2017)."""
        tokens, following, kept = batch
        hidden, state = self.module(tokens, self.state and [_scaled(layer, kept) for layer in self.state])
        self.state = [detach_state(layer) for layer in state]
        loss: Tensor = self.module.output.nll(hidden.dropped.flatten(0, 1), following.flatten()).mean()
        if self.settings.activation:
            loss = loss + self.settings.activation * hidden.dropped.square().mean()
        if self.settings.change:
            loss = loss + self.settings.change * (hidden.raw[1:] - hidden.raw[:-1]).square().mean()
        return loss

    def validate(self) -> dict[str, float]:
        """Return nats per token of the validation split, read in a few streams."""
        streams = max(1, min(_STREAMS, len(self.valid) // _MIN_TOKENS))
        return {self.monitor: float(text_nll(self.module, self.valid, self.begin, streams).mean())}

    def carried(self) -> dict[str, Tensor]:
        """Return the carried state as tensors named ``layer.index``."""
        layers = self.state or []
        return {f"{k}.{j}": t for k, layer in enumerate(layers) for j, t in enumerate(_tensors(layer))}

    def restore(self, carried: dict[str, Tensor]) -> None:
        """Restore what :meth:`carried` returned."""
        device = next(self.module.parameters()).device
        count = len({name.partition(".")[0] for name in carried})
        layers = [
            [t.to(device) for name, t in sorted(carried.items()) if name.startswith(f"{k}.")]
            for k in range(count)
        ]
        self.state = [_state(tensors) for tensors in layers] or None


@dataclass(frozen=True)
class ScoredChunk:
    """Outputs of the last layer [T, B, E], the tokens that follow [T, B] and their nats [T, B]."""

    hidden: Tensor
    following: Tensor
    nll: Tensor


@torch.no_grad()
def score_chunks(
    module: RecurrentLanguageModel, ids: Array, begin: int, streams: int = 1
) -> Iterator[ScoredChunk]:
    """Score a text of n tokens in evaluation mode, chunk by chunk; the last stream may be padded.

    Args:
        module: the network.
        ids: tokens [n].
        begin: the token before the first.
        streams: parts that are read in parallel, each from a zero state; 1 is exact.
    """
    module.eval()
    device = next(module.parameters()).device
    length = -(-len(ids) // streams)
    state: list[State] | None = None
    starts = np.arange(streams) * length
    for at in range(0, length, _CHUNK):
        steps = np.arange(at, min(at + _CHUNK, length))
        places = steps[:, None] + starts
        tokens = np.where(places > 0, ids[np.clip(places - 1, 0, len(ids) - 1)], begin)
        following = _on(ids[np.minimum(places, len(ids) - 1)], device)
        hidden, state = module(_on(tokens, device), state)
        nll = module.output.nll(hidden.raw.flatten(0, 1), following.flatten())
        yield ScoredChunk(hidden.raw, following, nll.view(following.shape))


def text_nll(module: RecurrentLanguageModel, ids: Array, begin: int, streams: int = 1) -> NDArray[np.float32]:
    """Return ``-log p`` [n] in nats of every token; arguments as in :func:`score_chunks`."""
    chunks = [chunk.nll.cpu() for chunk in score_chunks(module, ids, begin, streams)]
    return torch.cat(chunks).T.reshape(-1)[: len(ids)].numpy()


@torch.no_grad()
def texts_nll(module: RecurrentLanguageModel, texts: Sequence[Array], end: int) -> list[NDArray[np.float32]]:
    """Return ``-log p`` [n + 1] in nats of every token and of the end of each text [n].

    Args:
        module: the network.
        texts: tokens of texts of any lengths; each is read from a zero state.
        end: the token before and after each text.
    """
    module.eval()
    device = next(module.parameters()).device
    results: list[NDArray[np.float32]] = [np.zeros(0, np.float32)] * len(texts)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for at in range(0, len(order), _STREAMS):
        some = order[at : at + _STREAMS]
        table = np.full((max(len(texts[i]) for i in some) + 2, len(some)), end)
        for column, i in enumerate(some):
            table[1 : len(texts[i]) + 1, column] = texts[i]
        state: list[State] | None = None
        chunks = []
        for start in range(0, len(table) - 1, _CHUNK):
            tokens = _on(table[start : start + _CHUNK + 1], device)
            hidden, state = module(tokens[:-1], state)
            nll = module.output.nll(hidden.raw.flatten(0, 1), tokens[1:].flatten())
            chunks.append(nll.view_as(tokens[1:]))
        rows = torch.cat(chunks).T.cpu().numpy()
        for row, i in zip(rows, some):
            results[i] = row[: len(texts[i]) + 1]
    return results


def _on(numbers: Array, device: torch.device) -> Tensor:
    return torch.from_numpy(numbers.astype(np.int64)).to(device)


def _tensors(state: State) -> Sequence[Tensor]:
    return state if isinstance(state, tuple) else (state,)


def _scaled(state: State, factor: Tensor) -> object:
    """Multiply the state of each stream [1, B, H] by its factor [B]."""
    return _state([tensor * factor[:, None].to(tensor) for tensor in _tensors(state)])


def detach_state(state: State) -> Any:
    """Return the same state without its gradient history."""
    return _state([tensor.detach() for tensor in _tensors(state)])


def _state(tensors: Sequence[Tensor]) -> Any:
    """Return a layer's state in the form of its ``hx``."""
    return tuple(tensors) if len(tensors) > 1 else tensors[0]
