"""Convert layers from and to torch.nn and Keras, or replace the layers of a whole model."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn.utils import parametrize

from holdfast._json import Keywords
from holdfast._typing import Array
from holdfast.errors import UserError
from holdfast.nn.layers import GRU, LSTM, RNN
from holdfast.nn.options import Options
from holdfast.nn.recurrent import Recurrent

_OURS: dict[type[nn.Module], type[RNN] | type[GRU] | type[LSTM]] = {nn.RNN: RNN, nn.GRU: GRU, nn.LSTM: LSTM}
_ARGUMENTS = ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "bidirectional")
_THEIRS = {"rnn_tanh": nn.RNN, "rnn_relu": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


# -- torch.nn --------------------------------------------------------------------------------------


@dataclass
class AccelerateReport:
    """What :func:`accelerate` did.

    Attributes:
        model: the model to use: the one given, or its replacement where it is itself a recurrent
            layer.
        replaced: names of the layers that now run in Holdfast; ``""`` is the model itself.
        kept: name -> why this recurrent module of torch.nn was not replaced.
    """

    model: nn.Module
    replaced: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        if not self.replaced and not self.kept:
            return "The model has no recurrent layers of torch.nn."
        done = ", ".join(name or "the model itself" for name in self.replaced) or "none"
        return f"Replaced: {done}." + (f"\nKept:\n{self.reasons()}" if self.kept else "")

    def reasons(self) -> str:
        """Return one line for each module that was kept, with the reason."""
        return "\n".join(f"  {name or 'the model itself'}: {reason}" for name, reason in self.kept.items())


def accelerate(model: nn.Module) -> AccelerateReport:
    """Replace each torch.nn RNN, LSTM and GRU of a model with Holdfast's layer, in place.

    The new layers share the old layers' parameters, so optimizers keep working. ``requires_grad``,
    device, dtype and the training flag do not change. Modules that would lose something are kept
    and reported: subclasses, parametrized layers (weight norm), layers with hooks, and cells that
    run one time step. A layer with two names stays one layer. References outside the module tree,
    for example in a plain list, still point to the old layer.

    Args:
        model: any module. If the model is itself a recurrent layer, it cannot be replaced in place:
            use ``report.model``.

    Returns:
        A report; print it to see what was replaced and what was kept.

    Raises:
        UserError: ``model`` is not a module.

    Example:
        >>> model = nn.Sequential(nn.Embedding(10, 4), nn.LSTM(4, 8))
        >>> print(accelerate(model))
        Replaced: 1.
        >>> type(model[1])
        <class 'holdfast.nn.layers.LSTM'>
    """
    if not isinstance(model, nn.Module):
        raise UserError(
            "accelerate must get a torch.nn.Module.", f"It got a {type(model).__name__}.", "Pass the model."
        )
    report, new = AccelerateReport(model), dict[nn.Module, nn.Module]()
    for name, module in list(model.named_modules(remove_duplicate=False)):
        if not isinstance(module, nn.RNNBase | nn.RNNCellBase):
            continue
        reason = _reason_to_keep(module)
        if reason is not None:
            report.kept[name] = reason
            continue
        if module not in new:
            new[module] = _sharing(module)
        _place(report, name, new[module])
    return report


def _place(report: AccelerateReport, name: str, layer: nn.Module) -> None:
    report.replaced.append(name)
    if not name:
        report.model = layer
        return
    parent, _, last = name.rpartition(".")
    setattr(report.model.get_submodule(parent), last, layer)


def _reason_to_keep(module: nn.Module) -> str | None:
    kind = type(module).__name__
    if isinstance(module, nn.RNNCellBase):
        return f"{kind} runs one time step; only layers that run whole sequences are replaced"
    if parametrize.is_parametrized(module):
        return "its weights are parametrized (for example weight norm), which would be lost"
    if type(module) not in _OURS:
        return f"{kind} is a subclass of {type(module).__mro__[1].__name__}; its own code would be lost"
    hooks = sorted(
        name.strip("_") for name, value in vars(module).items() if name.endswith("hooks") and value
    )
    if hooks:
        return f"it has {', '.join(hooks)}, which would be lost"
    if "forward" in vars(module):
        return "its forward was replaced, which would be lost"
    if set(module.state_dict()) != set(_empty(module).state_dict()):
        return "its parameters differ from torch.nn's"
    return None


def _empty(module: nn.Module) -> Recurrent:
    """Return the counterpart of a torch.nn layer, without storage and without sampling weights."""
    own = {nn.RNN: ["nonlinearity"], nn.LSTM: ["proj_size"]}.get(type(module), [])
    arguments = {name: getattr(module, name) for name in (*_ARGUMENTS, *own)}
    layer = _OURS[type(module)](**arguments, device="meta")
    assert isinstance(module.dropout, float)
    layer.dropout = module.dropout  # not through the constructor, which would warn again
    return layer.train(module.training)


def _sharing(module: nn.Module) -> Recurrent:
    layer = _empty(module)
    for name, parameter in module.named_parameters():
        setattr(layer, name, parameter)
    return layer


def from_torch(module: nn.Module) -> Recurrent:
    """Convert a torch.nn RNN, LSTM or GRU into Holdfast's layer, with a copy of its weights.

    Raises:
        UserError: the module has no counterpart; the message says why.

    Example:
        >>> from_torch(nn.GRU(3, 5))
        GRU(3, 5)
    """
    if not isinstance(module, nn.RNNBase):
        reason: str | None = f"{type(module).__name__} is not a torch.nn.RNN, LSTM or GRU"
    else:
        reason = _reason_to_keep(module)
    if reason is not None:
        raise UserError(
            "from_torch must get a plain torch.nn RNN, LSTM or GRU.",
            f"But {reason}.",
            "Copy the weights into a new layer.",
        )
    return _sharing(copy.deepcopy(module))


def to_torch(layer: Recurrent) -> nn.RNNBase:
    """Convert a layer into torch.nn's RNN, LSTM or GRU, with a copy of its weights.

    Raises:
        UserError: the layer uses options that torch.nn does not have; the message names them.

    Example:
        >>> to_torch(LSTM(3, 5, bidirectional=True))
        LSTM(3, 5, bidirectional=True)
    """
    _refuse_extras(layer, "torch.nn", set(_THEIRS))
    arguments = {name: getattr(layer, name) for name in _ARGUMENTS}
    if layer.proj_size:
        arguments["proj_size"] = layer.proj_size
    if layer.cell.name.startswith("rnn"):
        arguments["nonlinearity"] = layer.cell.name.removeprefix("rnn_")
    weight = layer.weight_ih_l0
    theirs = _THEIRS[layer.cell.name](**arguments, device="meta", dtype=weight.dtype)
    module: nn.RNNBase = theirs.to_empty(device=weight.device)
    module.dropout = layer.dropout
    module.load_state_dict(layer.state_dict())
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(layer.get_parameter(name).requires_grad)
    return module.train(layer.training)


def _refuse_extras(layer: Recurrent, target: str, cells: set[str]) -> None:
    """Raise a UserError for options that ``target`` lacks and that change the results."""
    plain, options = Options(), layer.options
    running = ("layer_norm", "recurrent_dropout", "weight_drop", "learn_initial_state")
    extras = [name for name in running if getattr(options, name) != getattr(plain, name)]
    if any(options.zoneout_rates(layer.cell)):
        extras.append("zoneout")
    if layer.cell.name not in cells:
        extras.insert(0, f"the cell {layer.cell.name!r}")
    if target == "Keras" and layer.proj_size:
        extras.append("proj_size")
    if extras:
        raise UserError(
            f"A layer must use only options that {target} has.",
            f"{target} has no counterpart of {', '.join(extras)}.",
            "Train a layer without it, or keep this one in Holdfast.",
        )


# -- Keras -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _KerasCell:
    """A layer class, and ``order[k]``: Keras' block for PyTorch's block k (its own inverse)."""

    layer: type[GRU] | type[LSTM]
    order: tuple[int, ...]


_KERAS = {4: _KerasCell(LSTM, (0, 1, 2, 3)), 3: _KerasCell(GRU, (1, 0, 2))}


def from_keras(weights: Sequence[ArrayLike], **arguments: Any) -> Recurrent:
    """Build a layer from the arrays that ``get_weights()`` of a Keras LSTM or GRU returns.

    Keras has ``kernel`` [I, G*H], ``recurrent_kernel`` [H, G*H] and, with ``use_bias``, ``bias``:
    [4*H] for an LSTM (gates i, f, c, o), [2, 3*H] for a GRU with ``reset_after=True`` and [3*H]
    without (gates z, r, h). The shapes determine the cell and the reset convention. The Keras layer
    must use the default activations (tanh, sigmoid).

    Args:
        weights: the arrays; for several layers or ``Bidirectional``, those of each layer and
            direction in turn.
        arguments: further arguments of the layer, e.g. ``num_layers``, ``bidirectional`` or
            ``kernel``. ``batch_first`` is True by default, as in Keras. Pass ``reset_after`` for a
            GRU without bias.

    Returns:
        An LSTM or a GRU in the arrays' dtype.

    Raises:
        UserError: an array does not fit; the message gives the expected shapes.

    Example:
        >>> kernel, recurrent, bias = np.zeros((3, 20)), np.zeros((5, 20)), np.zeros(20)
        >>> from_keras([kernel, recurrent, bias])
        LSTM(3, 5, batch_first=True)
    """
    arrays = [np.asarray(w) for w in weights]
    places = arguments.get("num_layers", 1) * (2 if arguments.get("bidirectional") else 1)
    if len(arrays) not in (2 * places, 3 * places):
        raise UserError(
            f"Keras' weights must be {2 * places} or {3 * places} arrays: kernel, recurrent_kernel, bias.",
            f"There were {len(arrays)}.",
            "Pass layer.get_weights(), with the num_layers= and bidirectional= of the Keras model.",
        )
    step = len(arrays) // places
    groups = [arrays[k : k + step] for k in range(0, len(arrays), step)]
    gates, hidden = _keras_sizes(groups[0])
    arguments = {"batch_first": True, "dtype": torch.from_numpy(groups[0][0]).dtype} | arguments
    if gates == 3 and step == 3:
        arguments = _with_reset(arguments, groups[0][2].ndim == 2)
    layer = _KERAS[gates].layer(groups[0][0].shape[0], hidden, bias=step == 3, **arguments)
    for (number, suffix), group in zip(layer.suffixes(), groups, strict=True):
        _check_keras(layer, number, suffix, group)
        _load_keras(layer, suffix, group)
    return layer


def _keras_sizes(group: list[Array]) -> tuple[int, int]:
    """Return (G, H) of the first kernel and recurrent kernel."""
    kernel, recurrent = group[0], group[1]
    fits = kernel.ndim == recurrent.ndim == 2 and recurrent.shape[0] > 0 and kernel.dtype.kind == "f"
    gates, rest = divmod(recurrent.shape[1], recurrent.shape[0]) if fits else (0, 0)
    if gates not in _KERAS or rest or kernel.shape[1] != recurrent.shape[1]:
        raise UserError(
            "Keras' kernel must be [I, G*H] and recurrent_kernel [H, G*H], floats, G = 4 (LSTM) or 3 (GRU).",
            f"They were {list(kernel.shape)} and {list(recurrent.shape)}.",
            "Pass layer.get_weights() of an LSTM or a GRU.",
        )
    return gates, recurrent.shape[0]


def _with_reset(arguments: Keywords, reset_after: bool) -> Keywords:
    """Add the reset convention that the bias implies; ``reset_after``, if passed, must match it."""
    if arguments.get("reset_after", reset_after) != reset_after:
        raise UserError(
            "A Keras GRU's bias must be [2, 3*H] with reset_after=True and [3*H] with reset_after=False.",
            f"reset_after={arguments['reset_after']} was passed with the other shape.",
            "Leave reset_after out: the shape of the bias implies it.",
        )
    return arguments | {"reset_after": reset_after}


def _check_keras(layer: Recurrent, number: int, suffix: str, group: list[Array]) -> None:
    rows, hidden = layer.get_parameter("weight_hh" + suffix).shape
    expected = [[layer.get_parameter("weight_ih" + suffix).shape[1], rows], [hidden, rows]]
    expected += [[2, rows] if layer.cell.name == "gru" else [rows]][: len(group) - 2]
    got = [list(array.shape) for array in group]
    if got != expected:
        place = f"layer {number}" + (", backward" if suffix.endswith("reverse") else "")
        names = ["kernel", "recurrent_kernel", "bias"][: len(group)]
        wanted = ", ".join(f"{name} {shape}" for name, shape in zip(names, expected, strict=True))
        raise UserError(
            f"The arrays of {place} must be {wanted}.", f"They were {got}.", "Check their order and sizes."
        )


@torch.no_grad()
def _load_keras(layer: Recurrent, suffix: str, group: list[Array]) -> None:
    order = _KERAS[len(layer.cell.gates)].order
    kernel, recurrent, *biases = (_reordered(torch.tensor(array), order) for array in group)
    layer.get_parameter("weight_ih" + suffix).copy_(kernel.T)
    layer.get_parameter("weight_hh" + suffix).copy_(recurrent.T)
    for bias in biases:
        both = bias if bias.dim() == 2 else torch.stack([bias, torch.zeros_like(bias)])
        layer.get_parameter("bias_ih" + suffix).copy_(both[0])
        layer.get_parameter("bias_hh" + suffix).copy_(both[1])


def to_keras(layer: Recurrent) -> list[Array]:
    """Return the arrays for Keras' ``set_weights()``, in the layout of :func:`from_keras`.

    A GRU with the reset before the product goes to ``reset_after=False``, any other to
    ``reset_after=True``. Several layers and directions follow one after the other.

    Raises:
        UserError: the layer uses what Keras' layers do not have, with the names.

    Example:
        >>> [array.shape for array in to_keras(GRU(3, 5))]
        [(3, 15), (5, 15), (2, 15)]
    """
    _refuse_extras(layer, "Keras", {"lstm", "gru", "gru_reset_before"})
    order = _KERAS[len(layer.cell.gates)].order
    arrays: list[Array] = []
    for _, suffix in layer.suffixes():
        names = ("weight_ih", "weight_hh", *(("bias_ih", "bias_hh") if layer.bias else ()))
        ih, hh, *biases = (layer.get_parameter(name + suffix).detach().cpu() for name in names)
        parts = [ih.T, hh.T]
        if biases:
            parts.append(torch.stack(biases) if layer.cell.name == "gru" else biases[0] + biases[1])
        arrays += [_reordered(part, order).numpy() for part in parts]
    return arrays


def _reordered(values: Tensor, order: tuple[int, ...]) -> Tensor:
    """Reorder the G blocks of [..., G*H]."""
    blocks = values.chunk(len(order), -1)
    return torch.cat([blocks[k] for k in order], -1)
