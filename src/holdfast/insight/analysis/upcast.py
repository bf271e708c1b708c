"""A model in bfloat16 or float16 once more in float32: its own rounding hides what a small change does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from holdfast.insight.analysis.layer_capture import eval_mode
from holdfast.insight.analysis.request import InspectionRequest

_HALVES = (torch.bfloat16, torch.float16)


def with_float32_copy(
    request: InspectionRequest, inputs: Sequence[Any], named: Mapping[str, Any]
) -> InspectionRequest:
    """The request with :attr:`InspectionRequest.exact` where its model has half-precision parameters; else unchanged.

    Args:
        subject: whose ``run`` calls the model with these inputs.
        inputs, named: what the model is called with.
    """
    halves = {str(p.dtype).removeprefix("torch.") for p in request.model.parameters() if p.dtype in _HALVES}
    if not halves:
        return request
    kind = " and ".join(sorted(halves))
    try:
        model = deepcopy(request.model).float()
        given, by_name = tree_map(_whole, (tuple(inputs), dict(named)))
        with eval_mode(model), torch.no_grad():
            model(*given, **by_name)
    except (RuntimeError, TypeError) as error:
        note = (
            f"The model is in {kind}, and could not be run in float32 ({_first_line(error)}): memory and attribution "
            "are measured through its rounding."
        )
        return replace(request, notes=[*request.notes, note])
    exact = replace(request, model=model, run=lambda: model(*given, **by_name))
    note = f"The model is in {kind}: memory and attribution are measured on a copy in float32."
    return replace(request, exact=exact, notes=[*request.notes, note])


def _whole(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype in _HALVES else value


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
