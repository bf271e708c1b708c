"""Quantize the weights of recurrent layers to int8 for faster inference on the CPU."""

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
    """Copy a model and run its recurrent layers in int8, for inference on the CPU.

    Each row of a weight matrix has its own scale, ``w ~ s q`` with q in -127 ... 127. The input and
    the hidden state have one scale for each sequence and step, and 7 bits, which every processor
    sums exactly. Gate functions, biases and the cell state stay in float32. The parameters keep
    their names and float32 values, so the copy saves and loads like the model. It has no gradients.

    Layers of torch.nn are replaced as in :func:`holdfast.accelerate`. Layers that it cannot replace
    stay in float32, and a warning says why. Other modules do not change.

    The loss of accuracy depends on the model. Compare the copy with the model on validation data
    before you use it; for a run folder, use ``holdfast evaluate RUN FILE --int8``.

    Args:
        model: a module with recurrent layers, or a recurrent layer; it is not modified.

    Returns:
        The copy, in evaluation mode.

    Raises:
        UserError: ``model`` is not a module, or it has no layer that can be quantized.

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
        rule = "quantize must get a model with recurrent layers of Holdfast or torch.nn."
        raise UserError(rule, f"{report} It has none of Holdfast's either.", "Pass a model that has some.")
    if report.kept:
        warnings.warn(f"Not quantized:\n{report.reasons()}", stacklevel=2)
    for layer in layers:
        layer.options = replace(layer.options, kernel="int8")
        layer.requires_grad_(False)
    return report.model.eval()  # type: ignore[return-value]
