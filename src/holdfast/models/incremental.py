"""A language model read one unit after the other, as writing needs it."""

from __future__ import annotations

import copy
from typing import Any, cast

import torch

from holdfast._typing import Array
from holdfast.data.text.tokenizers import Tokenizer
from holdfast.models.language import RecurrentLanguageModel
from holdfast.nn.recurrent import Recurrent


class IncrementalDecoder:
    """A language model that reads and writes one unit after the other, on the CPU."""

    def __init__(self, module: RecurrentLanguageModel) -> None:
        module = copy.deepcopy(module).cpu().eval()
        self.embedding = module.embedding.weight.detach().numpy()
        self.layers = [cast(Recurrent, layer).stream() for layer in module.layers]
        self.output = module.output

    @torch.no_grad()
    def step(self, token: int) -> Array:
        """``log p`` of every unit [V] after this one."""
        x = self.embedding[token]
        for layer in self.layers:
            x = layer.step(x)
        hidden = torch.from_numpy(x[None])
        return self.output.log_probabilities(hidden)[0].numpy()


class BranchingDecoder:
    """A language model read from any state, so that many texts can be read side by side."""

    def __init__(self, module: RecurrentLanguageModel, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._decoder = IncrementalDecoder(module)

    def step(self, state: Any, token: int) -> tuple[Any, Array]:
        """The state behind a unit (None: before any), and ``log p`` [V] of the next one."""
        for place, layer in enumerate(self._decoder.layers):
            if state is None:
                layer.reset()
            else:
                layer.state = state[place]
        scores = self._decoder.step(token)
        return [layer.state for layer in self._decoder.layers], scores
