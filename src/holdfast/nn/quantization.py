"""Recurrent layers with weights in int8: less memory to read in each step, for inference."""

from __future__ import annotations

import copy
import warnings
from dataclasses import replace
from typing import TypeVar

from torch import nn

from holdfast.errors import UserError
from holdfast.nn.convert import accelerate
from holdfast.nn.recurrent import Recurrent

Module = TypeVar("Module", bound=nn.Module)


def quantize(model: Module) -> Module:
    """Give a copy of a model whose recurrent layers run in int8, for inference on the CPU.

    Each output of a weight matrix gets its own scale, ``w ~ s q`` with q in -127 ... 127; the input
    and the hidden state get one for each row and step, in 7 bits, which every processor sums
    exactly. Gate functions, biases and the cell's memory stay in float32. The parameters keep their
    names and their float32 values, so the copy saves and loads like the model; it has no gradients.
    Layers of torch.nn are replaced as :func:`holdfast.accelerate` does; those that it keeps stay in
    float32, with a warning that says why. Everything but recurrent layers stays as it is.

    What rounding costs depends on the model: compare the copy with the model on validation data
        before it is used
    (``holdfast evaluate RUN FILE --int8`` does so for a run).

    Args:
        model: a module with recurrent layers, or such a layer; it is left as it is.

    Returns:
        the copy, in evaluation mode.

    Raises:
        UserError: it is no module, or no layer in it can be quantised.

    Example:
        >>> import torch, holdfast
        >>> layer, x = holdfast.GRU(8, 32), torch.randn(20, 4, 8)
        >>> small = holdfast.quantize(layer)
        >>> with torch.no_grad():
        ...     print((layer(x)[0] - small(x)[0]).abs().max() < 0.05)
        tensor(True)
    """
    report = accelerate(copy.deepcopy(model))
    layers = [module for module in report.model.modules() if isinstance(module, Recurrent)]
    if not layers:
        rule = "quantize takes a model with recurrent layers of Holdfast or torch.nn."
        raise UserError(rule, f"{report} None of Holdfast's either.", "Pass a model that has some.")
    if report.kept:
        warnings.warn(f"Not quantised:\n{report.told()}", stacklevel=2)
    for layer in layers:
        layer.options = replace(layer.options, kernel="int8")
        layer.requires_grad_(False)
    return report.model.eval()  # type: ignore[return-value]
