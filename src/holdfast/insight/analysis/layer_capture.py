"""Capture a model's recurrent layers while it runs, and split them into layers and directions.

Layers of Holdfast and torch.nn (RNN, GRU, LSTM and subclasses, with any input layout) give the same
result. Letters: T steps, B sequences, I input, P width of the hidden state.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from holdfast._json import Keywords
from holdfast.errors import UserError
from holdfast.nn.cells import CELLS, Cell, State
from holdfast.nn.options import Options
from holdfast.nn.recurrent import Recurrent


class SingleLayer(Recurrent):
    """One layer in one direction, forward in time, in evaluation mode, with copied parameters."""

    def forward(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Map [T, B, I] to outputs [T, B, P] and the final state [1, B, ...]."""
        return self._forward(x, state, lengths)


@dataclass(frozen=True)
class LayerCall:
    """One call of a recurrent module: ``x`` [T, B, I], ``lengths`` [B], and states [L*D, B, ...].

    ``state`` is None if the call got none; ``final`` is empty if a subclass returns none.
    """

    name: str
    module: nn.Module
    x: Tensor
    state: State | None
    lengths: Tensor
    final: State = ()


@dataclass(frozen=True)
class LayerDirection:
    """One layer in one direction, with its input; a reverse direction gets reversed sequences.

    ``x`` [T, B, I] is in the order in which the layer runs; ``lengths`` [B].
    """

    name: str
    layer: SingleLayer
    x: Tensor
    state: State | None
    lengths: Tensor
    reverse: bool

    def activations(self) -> dict[str, Tensor]:
        """Return name -> [T, B, width], in the order of time."""
        with torch.no_grad():
            traced = self.layer.trace(self.x, self.state, self.lengths)
        found = {name: values[0, 0] for name, values in traced.items()}
        return {n: reverse_sequences(v, self.lengths) for n, v in found.items()} if self.reverse else found


def recurrent_modules(model: nn.Module, layers: Sequence[str] = ()) -> dict[str, nn.Module]:
    """Return name -> recurrent layer, in the model's order.

    Args:
        model: the network.
        layers: name prefixes of the layers to return; all when empty.

    Raises:
        UserError: the model has none, or none with such a name.
    """
    found: dict[str, nn.Module] = {
        n: m for n, m in model.named_modules() if isinstance(m, Recurrent | nn.RNNBase)
    }
    if not found:
        cells = any(isinstance(m, nn.RNNCellBase) for m in model.modules())
        but = " (it has cells, which run a single step and cannot be inspected)" if cells else ""
        raise UserError(
            "A model must have an RNN, GRU or LSTM layer of Holdfast or torch.nn to be inspected.",
            f"{type(model).__name__} has none{but}.",
            "Pass a model with such a layer as a submodule.",
        )
    wanted = {n: m for n, m in found.items() if not layers or n.startswith(tuple(layers))}
    if not wanted:
        raise UserError(
            f"The layers to inspect must be among: {', '.join(found)}.",
            f"The request named {', '.join(layers)}.",
            "Give a prefix of one of these names.",
        )
    return wanted


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Put the model into evaluation mode, and restore every module's mode afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def capture_calls(model: nn.Module, run: Callable[[], object], layers: Sequence[str] = ()) -> list[LayerCall]:
    """Run the model in evaluation mode and return each call of its recurrent layers, in order.

    Args:
        model: the network.
        run: runs the model; called once.
        layers: name prefixes of the layers to capture; all when empty.

    Raises:
        UserError: the model has no recurrent layer, or none ran.
    """
    found: list[LayerCall] = []

    def record(
        name: str, module: nn.Module, given: tuple[object, ...], named: Keywords, output: object
    ) -> None:
        found.append(layer_call(name, module, given, named, output))

    with ExitStack() as hooks, eval_mode(model), torch.no_grad():
        for name, module in recurrent_modules(model, layers).items():
            hooks.enter_context(module.register_forward_hook(partial(record, name), with_kwargs=True))
        run()
    if not found:
        raise UserError(
            "The model must run its recurrent layers.", "None ran.", "Pass inputs that reach them."
        )
    return found


def call_arguments(given: tuple[object, ...], named: Keywords) -> tuple[Any, Any, Any]:
    """Return (input, hx, lengths) of a call."""
    merged = dict(zip(("input", "hx", "lengths"), given, strict=False)) | named
    return merged["input"], merged.get("hx"), merged.get("lengths")


def layer_call(
    name: str, module: Any, positional: tuple[Any, ...], named: Keywords, output: object
) -> LayerCall:
    """Return a call of a recurrent module with these arguments, on the CPU in float32."""
    given, hx, lengths = call_arguments(positional, named)
    state = _states(hx)
    final = (_states(output[1]) if isinstance(output, tuple) else None) or ()
    if isinstance(given, PackedSequence):
        x, lengths = pad_packed_sequence(given)
    else:
        x = given if given.dim() == 3 else given.unsqueeze(0 if module.batch_first else 1)
        x = x.transpose(0, 1) if module.batch_first else x
        state = state if state is None or given.dim() == 3 else tuple(s.unsqueeze(1) for s in state)
    whole = torch.full((x.size(1),), x.size(0)) if lengths is None else torch.as_tensor(lengths)
    plain = None if state is None else tuple(s.detach().float().cpu() for s in state)
    ends = tuple(s.detach().float().cpu().reshape(len(s), -1, s.size(-1)) for s in final)
    return LayerCall(name, module, x.detach().float().cpu(), plain, whole.to("cpu", torch.int64), ends)


def _states(hx: Any) -> State | None:
    """Return a layer's ``hx`` as a tuple of states."""
    return None if hx is None else (hx,) if isinstance(hx, Tensor) else tuple(hx)


def split_directions(call: LayerCall) -> list[LayerDirection]:
    """Split a call into layers and directions with the input of each, in torch.nn's order."""
    module: Any = call.module
    directions = 2 if module.bidirectional else 1
    x, found = call.x, list[LayerDirection]()
    for layer in range(module.num_layers):
        outputs = []
        for direction in range(directions):
            row = layer * directions + direction
            state = None if call.state is None else tuple(s[row : row + 1] for s in call.state)
            own = single_layer(module, layer, direction == 1)
            given = reverse_sequences(x, call.lengths) if direction else x
            one = LayerDirection(
                _name(call, layer, direction), own, given, state, call.lengths, direction == 1
            )
            with torch.no_grad():
                y = own(given, state, call.lengths)[0]
            outputs.append(reverse_sequences(y, call.lengths) if direction else y)
            found.append(one)
        x = torch.cat(outputs, -1)
    return found


def module_label(name: str) -> str:
    """Return a readable name of a module; modules in a list are layers.

    Example:
        >>> [module_label(n) for n in ("encoder.layers.0", "decoder", "layers.1", "")]
        ['encoder, layer 1', 'decoder', 'layer 2', 'network']
    """
    owner, number = _listed(name)
    words = [owner] if owner else []
    words += [] if number is None else [f"layer {number + 1}"]
    return ", ".join(words) or name or "network"


def _listed(name: str) -> tuple[str, int | None]:
    """Return the name of a module's owner, and its index if the owner is a list of layers."""
    listed = re.fullmatch(r"(?:(.*)\.)?layers?\.(\d+)", name)
    owner, number = (listed[1] or "", int(listed[2])) if listed else (name, None)
    owner = f"module {owner}" if owner.isdigit() else owner
    return "" if owner == "layers" else owner.replace(".", " "), number


def _name(call: LayerCall, layer: int, direction: int) -> str:
    """Return a name such as ``"layer 2"`` or ``"encoder, layer 1, reverse"``."""
    module: Any = call.module
    owner, number = _listed(call.name)
    words = [owner] if owner else []
    named = number is not None or module.num_layers > 1 or not words
    words += [f"layer {(layer if number is None else number) + 1}"] if named else []
    words += ["reverse" if direction else "forward"] if module.bidirectional else []
    return ", ".join(words)


def reverse_sequences(x: Tensor, lengths: Tensor) -> Tensor:
    """Reverse each sequence of [T, B, ...] within its length."""
    steps = torch.arange(x.size(0))[:, None]
    places = torch.where(steps < lengths, lengths - 1 - steps, steps)
    return x[places, torch.arange(x.size(1))]


def single_layer(module: Any, layer: int, reverse: bool) -> SingleLayer:
    """Copy one layer and direction of a recurrent module."""
    suffix = f"_l{layer}" + ("_reverse" if reverse else "")
    proj = module.proj_size
    width = proj or module.hidden_size
    inputs = module.input_size if layer == 0 else width * (2 if module.bidirectional else 1)
    options = _options(module)
    made = SingleLayer(
        cell_of(module), (inputs, module.hidden_size, 1, proj), (module.bias, False, 0.0, False), options, {}
    ).eval()
    row = layer * (2 if module.bidirectional else 1) + reverse
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name.startswith("initial_"):
                parameter.copy_(getattr(module, name)[row : row + 1])
            else:
                parameter.copy_(getattr(module, name.removesuffix("_l0") + suffix))
    return made.requires_grad_(False)


def cell_of(module: Any) -> Cell:
    """Return the cell that a recurrent layer computes."""
    return module.cell if isinstance(module, Recurrent) else CELLS[module.mode.lower()]


def _options(module: Any) -> Options:
    """Return the options that change a layer's results in evaluation mode."""
    own = module.options if isinstance(module, Recurrent) else Options()
    return Options(own.layer_norm, zoneout=own.zoneout, learn_initial_state=own.learn_initial_state)
