"""A recurrent encoder-decoder network with attention.

The decoder's first layer reads the target sentence. Its outputs attend to the source, and the
layers above read both (Wu et al. 2016; Chen et al. 2018), so that each layer runs over all steps in
one call. With input feeding (Luong et al. 2015), the first layer also reads the readout of the step
before, and the steps run one by one.

Letters: S source positions, T target steps, B sentences, N rows of the decoder (B, or B times the
hypotheses of each), E embedding size, H hidden size, M = 2 H memory size, A key size, V target
tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from holdfast.models.options import TranslationOptions
from holdfast.nn.attention import ATTENTIONS, attend, length_mask
from holdfast.nn.dropout import LockedDropout
from holdfast.nn.layers import LAYERS

_STATES = {"rnn": 1, "gru": 1, "lstm": 2}


@dataclass(frozen=True)
class Memory:
    """The encoded source: ``values`` [B, S, M], ``keys`` [B, S, A], ``mask`` [B, S]."""

    values: Tensor
    keys: Tensor
    mask: Tensor

    def select(self, sentences: Tensor) -> Memory:
        """Return the memory of these sentences."""
        return Memory(self.values[sentences], self.keys[sentences], self.mask[sentences])


@dataclass(frozen=True)
class _DecoderState:
    """The state tensors of every layer, each [1, N, H], and the last readout [1, N, E]."""

    layers: tuple[tuple[Tensor, ...], ...]
    readout: Tensor

    def select(self, rows: Tensor) -> _DecoderState:
        """Return the state of these rows; a row may occur more than once."""
        layers = tuple(tuple(part[:, rows] for part in layer) for layer in self.layers)
        return _DecoderState(layers, self.readout[:, rows])


@dataclass(frozen=True)
class DecoderOutput:
    """Readouts [T, N, E], attention weights [T, N, S], and the state after the last step."""

    readouts: Tensor
    weights: Tensor
    state: _DecoderState


class _Embedding(nn.Module):
    """An embedding with token dropout and locked dropout."""

    def __init__(self, table: nn.Embedding, options: TranslationOptions) -> None:
        super().__init__()
        self.table, self.token_dropout = table, options.embedding_dropout
        self.locked = LockedDropout(options.dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map [T, B] to [T, B, E]."""
        embedded: Tensor = self.table(tokens)
        if self.training and self.token_dropout:
            keep = 1 - self.token_dropout
            embedded = embedded * embedded.new_empty(*tokens.shape, 1).bernoulli_(keep).div_(keep)
        dropped: Tensor = self.locked(embedded)
        return dropped


class _Encoder(nn.Module):
    """Bidirectional recurrent layers."""

    def __init__(self, options: TranslationOptions) -> None:
        super().__init__()
        make, hidden = LAYERS[options.cell], options.hidden_size
        sizes = [options.embedded, *[2 * hidden] * (options.encoder_layers - 1)]
        self.layers = nn.ModuleList(make(size, hidden, bidirectional=True) for size in sizes)
        self.dropout = LockedDropout(options.dropout)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map [S, B, E] to outputs [S, B, M] and the last layer's final state [B, M]."""
        state: Any = None
        for layer in self.layers:
            x, state = layer(x, lengths=lengths)
            x = self.dropout(x)
        hidden = state[0] if isinstance(state, tuple) else state
        return x, hidden.transpose(0, 1).flatten(1)


class _Decoder(nn.Module):
    """Recurrent layers, with attention after the first."""

    def __init__(self, options: TranslationOptions, extra: int = 0) -> None:
        super().__init__()
        make, hidden, embedded = LAYERS[options.cell], options.hidden_size, options.embedded
        memory, above = 2 * hidden, options.decoder_layers - 1
        self.parts = _STATES[options.cell]
        self.first = make(embedded + extra, hidden)
        self.above = nn.ModuleList(make(hidden + memory, hidden) for _ in range(above))
        self.attention = ATTENTIONS[options.attention](hidden, memory)
        self.bridge = nn.Linear(memory, (above + 1) * self.parts * hidden)
        self.read = nn.Linear(hidden + memory, embedded)
        self.dropout = LockedDropout(options.dropout)

    def memory(self, outputs: Tensor, lengths: Tensor) -> Memory:
        """Return the memory of the encoder's outputs [S, B, M]."""
        values = outputs.transpose(0, 1).contiguous()
        mask = length_mask(lengths.to(values.device), values.size(1))
        return Memory(values, self.attention.keys(values), mask)

    def start(self, ends: Tensor) -> _DecoderState:
        """Return the initial state ``tanh(W e)`` from the encoder's final state e [B, M]."""
        parts = torch.tanh(self.bridge(ends)).chunk((len(self.above) + 1) * self.parts, -1)
        layers = [parts[k : k + self.parts] for k in range(0, len(parts), self.parts)]
        readout = ends.new_zeros(1, ends.size(0), self.read.out_features)
        return _DecoderState(tuple(tuple(p[None].contiguous() for p in layer) for layer in layers), readout)

    def forward(self, x: Tensor, memory: Memory, state: _DecoderState) -> DecoderOutput:
        """Read embeddings [T, N, E]; the rows of a sentence are adjacent."""
        return self._run(x, memory, state, self._masks(x))

    def _masks(self, x: Tensor) -> list[Tensor]:
        """Return the dropout masks of the layers above, the readout and the output."""
        inner = [self.dropout.mask(x, self.first.hidden_size) for _ in range(len(self.above) + 1)]
        return [*inner, self.dropout.mask(x, self.read.out_features)]

    def _run(self, x: Tensor, memory: Memory, state: _DecoderState, masks: list[Tensor]) -> DecoderOutput:
        hidden, after = self._layer(self.first, x, state.layers[0])
        contexts, weights = self._attended(hidden, memory)
        states = [after]
        for layer, before, mask in zip(self.above, state.layers[1:], masks):
            above, after = self._layer(layer, torch.cat([hidden * mask, contexts], -1), before)
            hidden = hidden + above
            states.append(after)
        read = torch.tanh(self.read(torch.cat([hidden * masks[-2], contexts], -1)))
        return DecoderOutput(read * masks[-1], weights, _DecoderState(tuple(states), read[-1:]))

    def _layer(
        self, layer: nn.Module, x: Tensor, state: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        outputs, after = layer(x, state if self.parts > 1 else state[0])
        return outputs, after if self.parts > 1 else (after,)

    def _attended(self, hidden: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Return contexts [T, N, M] and weights [T, N, S]; a sentence's rows share its memory."""
        steps, rows = hidden.shape[:2]
        sentences = memory.mask.size(0)
        queries = hidden.view(steps, sentences, -1, hidden.size(-1)).transpose(0, 1).flatten(1, 2)
        contexts, weights = attend(self.attention(queries, memory.keys), memory.values, memory.mask)
        return _by_step(contexts, steps, rows), _by_step(weights, steps, rows)


class _FeedingDecoder(_Decoder):
    """A decoder with input feeding: each step reads the readout of the step before."""

    def __init__(self, options: TranslationOptions) -> None:
        super().__init__(options, extra=options.embedded)

    def forward(self, x: Tensor, memory: Memory, state: _DecoderState) -> DecoderOutput:
        """Read embeddings [T, N, E]; the rows of a sentence are adjacent."""
        steps, masks = [], self._masks(x)
        for step in x.split(1):
            done = self._run(torch.cat([step, state.readout], -1), memory, state, masks)
            state = done.state
            steps.append(done)
        readouts, weights = (torch.cat([getattr(s, name) for s in steps]) for name in ("readouts", "weights"))
        return DecoderOutput(readouts, weights, state)


class TranslationNetwork(nn.Module):
    """Encoder, decoder, and a softmax over the next target token.

    Args:
        vocab_sizes: tokens of the source and of the target.
        options: the architecture.
        shared: whether source and target share one embedding.

    Example:
        >>> import torch
        >>> network = TranslationNetwork((50, 40), TranslationOptions(hidden_size=32, embedding_size=16)).eval()
        >>> memory, state = network.encode(torch.zeros(7, 2, dtype=torch.long), torch.tensor([7, 4]))
        >>> decoded = network.decode(torch.zeros(5, 2, dtype=torch.long), memory, state)
        >>> network.scores(decoded.readouts).shape, decoded.weights.shape
        (torch.Size([5, 2, 40]), torch.Size([5, 2, 7]))
    """

    def __init__(
        self, vocab_sizes: tuple[int, int], options: TranslationOptions, shared: bool = False
    ) -> None:
        super().__init__()
        self.options = options
        tables = [_table(count, options.embedded) for count in vocab_sizes]
        if shared:
            tables[0] = tables[1]
        self.source, self.target = (_Embedding(table, options) for table in tables)
        self.encoder = _Encoder(options)
        self.decoder = (_FeedingDecoder if options.input_feeding else _Decoder)(options)
        self.output = nn.Linear(options.embedded, vocab_sizes[1])
        if options.tied:
            self.output.weight = self.target.table.weight
        nn.init.zeros_(self.output.bias)

    def encode(self, tokens: Tensor, lengths: Tensor) -> tuple[Memory, _DecoderState]:
        """Encode tokens [S, B] with lengths [B]; return memory and initial decoder state."""
        outputs, ends = self.encoder(self.source(tokens), lengths)
        return self.decoder.memory(outputs, lengths), self.decoder.start(ends)

    def decode(self, tokens: Tensor, memory: Memory, state: _DecoderState) -> DecoderOutput:
        """Read target tokens [T, N]."""
        decoded: DecoderOutput = self.decoder(self.target(tokens), memory, state)
        return decoded

    def scores(self, readouts: Tensor) -> Tensor:
        """Map readouts [..., E] to logits [..., V] of the next token."""
        scores: Tensor = self.output(readouts)
        return scores

    def nll(self, readouts: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        """Return ``-sum_v q_v log p_v`` [N] in nats of targets [N] from readouts [N, E].

        q is 1 at the target, less ``smoothing``, which is spread over all tokens (Szegedy et al.
        2016). This is ``-log p`` plus ``smoothing`` times the target's logit minus the mean logit,
        each of which needs one row of weights.
        """
        plain = F.cross_entropy(self.scores(readouts), targets, reduction="none")
        if not smoothing:
            return plain
        weight, bias = self.output.weight, self.output.bias
        own = (readouts * weight[targets]).sum(-1) + bias[targets]
        mean = readouts @ weight.mean(0) + bias.mean()
        return plain + smoothing * (own - mean)


class StepwiseTranslator:
    """A :class:`holdfast.decoding.beam_search.StepwiseModel` that translates encoded sentences."""

    def __init__(self, network: TranslationNetwork, memory: Memory, state: _DecoderState) -> None:
        self.network, self.memory, self.state = network, memory, state

    def step(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Read tokens [N]; return ``log p`` [N, V] of the next ones and the attention [N, S]."""
        decoded = self.network.decode(tokens[None].to(self.memory.mask.device), self.memory, self.state)
        self.state = decoded.state
        return self.network.scores(decoded.readouts[0]).log_softmax(-1), decoded.weights[0]

    def select(self, rows: Tensor, sentences: Tensor) -> None:
        """Continue with these rows, and with the memory of these sentences."""
        self.state, self.memory = self.state.select(rows), self.memory.select(sentences)


def _table(vocab_size: int, size: int) -> nn.Embedding:
    table = nn.Embedding(vocab_size, size)
    nn.init.normal_(table.weight, std=size**-0.5)
    return table


def _by_step(x: Tensor, steps: int, rows: int) -> Tensor:
    """Map [B, T * K, X] to [T, N, X]."""
    return x.view(x.size(0), steps, -1, x.size(-1)).transpose(0, 1).reshape(steps, rows, x.size(-1))
