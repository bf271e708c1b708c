"""What to inspect in a language model: a text, token by token, and the token after it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from holdfast._typing import Array
from holdfast.data.text.tokenizers import Tokenizer
from holdfast.errors import UserError
from holdfast.insight.analysis.features import changing, labels, of_tokens
from holdfast.insight.analysis.request import InspectionRequest, Loss, Score
from holdfast.insight.analysis.results import Steps
from holdfast.models.language import RecurrentLanguageModel
from holdfast.models.truncated_bptt import text_nll
from holdfast.tasks.language.dataset import read_whole

if TYPE_CHECKING:
    from holdfast.tasks.language.task import LanguageModel

WINDOW, WINDOWS = 200, 16
"""Tokens of each stretch, and stretches, on which memory and gradients are measured."""
SCORED, _STREAMS = 4000, 4
"""Tokens on which ablation measures the loss, and streams in which they are read."""


def inspections(model: LanguageModel, data: Path, steps: int) -> list[InspectionRequest]:
    """Return the first tokens of a text; memory, gradients and the loss are measured on more of it.

    Raises:
        UserError: the file cannot be read, or has fewer than 2 tokens.
    """
    module, preprocessing = model.fitted()
    tokens = preprocessing.tokenizer
    ids = read_whole(data, model.config, preprocessing).ids
    if len(ids) < 2:
        raise UserError(
            "A text to inspect must have at least 2 tokens.", f"{data} has {len(ids)}.", "Give a longer one."
        )
    shown, scored = ids[:steps], ids[:SCORED]
    streams = max(1, min(_STREAMS, len(scored) // WINDOW))
    kind = model.config.text.token
    return [
        InspectionRequest(
            f"{model.config.network.cell.upper()} language model reading {data.name}",
            module,
            lambda: module(_on(shown[:, None], module))[0].raw,
            described(shown, tokens, kind),
            _expected(module, tokens, shown),
            Loss(
                f"nats per {kind}",
                lambda: float(text_nll(module, scored, tokens.begin, streams).mean()),
                f"on the first {len(scored):,} {kind}s",
            ),
            lambda: module(_on(_pieces(ids), module)),
        )
    ]


def described(ids: Array, tokens: Tokenizer, kind: str) -> Steps:
    """Return the tokens of a text with their features."""
    return Steps(labels(ids, tokens), kind, features=changing(of_tokens(ids, tokens)))


def _expected(module: RecurrentLanguageModel, tokens: Tokenizer, ids: Array) -> Score:
    """Return the log-probability of the likeliest token after the last one."""
    with torch.no_grad():
        found = _log_probabilities(module, module(_on(ids[:, None], module))[0].raw)
    best = int(found.argmax())
    name = f"log-probability of {tokens.token(best)!r} after the last {tokens.kind}"
    return Score(name, lambda answer: _log_probabilities(module, answer)[best])


def _log_probabilities(module: RecurrentLanguageModel, hidden: Tensor) -> Tensor:
    """Return that of every token [V] after the last of the outputs [T, 1, E]."""
    return module.output.log_probabilities(hidden[-1])[0]


def _pieces(ids: Array) -> Array:
    """Return [T, B] stretches of a text."""
    length = min(WINDOW, len(ids))
    count = min(WINDOWS, len(ids) // length)
    return ids[: length * count].reshape(count, length).T


def _on(ids: Array, module: RecurrentLanguageModel) -> Tensor:
    return torch.from_numpy(ids.astype(np.int64)).to(next(module.parameters()).device)
