"""Run a language model one token at a time, as generation and shallow fusion need it."""

from __future__ import annotations

import copy
from typing import Any, cast

import torch

from holdfast._typing import Array
from holdfast.data.text.tokenizers import Tokenizer
from holdfast.models.language import RecurrentLanguageModel
from holdfast.nn.recurrent import Recurrent


class IncrementalDecoder:
    """A copy of a language model, on the CPU, that reads one token at a time and keeps its state.

    Example:
        >>> from holdfast.models.options import LanguageOptions
        >>> model = RecurrentLanguageModel(5, LanguageOptions(hidden_size=4, embedding_size=4))
        >>> IncrementalDecoder(model).step(0).shape
        (5,)
    """

    def __init__(self, module: RecurrentLanguageModel) -> None:
        module = copy.deepcopy(module).cpu().eval()
        self.embedding = module.embedding.weight.detach().numpy()
        self.layers = [cast(Recurrent, layer).stream() for layer in module.layers]
        self.output = module.output

    @torch.no_grad()
    def step(self, token: int) -> Array:
        """Read a token; return ``log p`` [V] of the next one."""
        x = self.embedding[token]
        for layer in self.layers:
            x = layer.step(x)
        hidden = torch.from_numpy(x[None])
        return self.output.log_probabilities(hidden)[0].numpy()


class BranchingDecoder:
    """A language model that continues from any state, so that a search can follow many texts.

    It is a :class:`holdfast.decoding.lm_fusion.NextTokenModel`.
    """

    def __init__(self, module: RecurrentLanguageModel, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._decoder = IncrementalDecoder(module)

    def step(self, state: Any, token: int) -> tuple[Any, Array]:
        """Return the state after a token (None: begin a text), and ``log p`` [V] of the next."""
        layers = self._decoder.layers
        for index, layer in enumerate(layers):
            if state is None:
                layer.reset()
            else:
                layer.state = state[index]
        scores = self._decoder.step(token)
        return [layer.state for layer in layers], scores
