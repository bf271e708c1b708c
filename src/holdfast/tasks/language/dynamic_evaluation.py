"""Dynamic evaluation (Krause et al. 2018, arXiv 1709.07432): a copy of the weights adapts to the
text.

Each chunk of text is scored before the weights adapt to it: ``w <- w - rate * gradient + PULL *
(w_trained - w)``.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from numpy.typing import NDArray

from holdfast._typing import Array
from holdfast.models.language import RecurrentLanguageModel
from holdfast.models.truncated_bptt import detach_state
from holdfast.nn.cells import State

STEPS = 20
"""Tokens of a chunk."""
_PULL = 0.001
_CLIP = 1.0
"""Largest norm of a chunk's gradient."""


def dynamic_nats(module: RecurrentLanguageModel, ids: Array, begin: int, rate: float) -> NDArray[np.float32]:
    """Return ``-log p`` of every token [n] of a text, read in one stream."""
    learning = copy.deepcopy(module).eval()
    device = next(learning.parameters()).device
    text = torch.from_numpy(np.concatenate([[begin], ids]).astype(np.int64)).to(device)[:, None]
    state: list[State] | None = None
    found = []
    trained = [parameter.detach().clone() for parameter in learning.parameters()]
    for at in range(0, len(ids), STEPS):
        tokens, following = text[at : at + STEPS + 1][:-1], text[at + 1 : at + STEPS + 1]
        hidden, after = learning(tokens, state)
        state = [detach_state(one) for one in after]
        scores = learning.output.nll(hidden.raw.flatten(0, 1), following.flatten())
        found.append(scores.detach().cpu())
        learning.zero_grad()
        scores.mean().backward()
        torch.nn.utils.clip_grad_norm_(learning.parameters(), _CLIP)
        with torch.no_grad():
            for parameter, origin in zip(learning.parameters(), trained, strict=True):
                if parameter.grad is not None:
                    parameter.sub_(rate * parameter.grad).add_(_PULL * (origin - parameter))
    return torch.cat(found).numpy()
