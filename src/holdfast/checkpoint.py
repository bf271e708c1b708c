"""Weights and training state as safetensors files; nothing is ever unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from holdfast._json import JsonMapping, JsonObject
from holdfast._typing import Array
from holdfast.config import FORMAT, check_format
from holdfast.errors import UserError
from holdfast.files import listed, write_atomic

WEIGHTS = "model.safetensors"
"""File of the best weights in a run folder."""

STATE = "state.safetensors"
"""File of everything needed to resume a run, in a run folder."""

Tensors = Mapping[str, Tensor]


def save_weights(path: Path, weights: nn.Module | Tensors) -> None:
    """Write a module's parameters and buffers, or a state dict, atomically.

    Raises:
        UserError: the file cannot be written.
    """
    tensors = weights.state_dict() if isinstance(weights, nn.Module) else weights
    write_atomic(Path(path), _serialized(tensors, {}))


def load_weights(path: Path, module: nn.Module) -> None:
    """Load the weights that :func:`save_weights` wrote into a module on any device.

    Raises:
        UserError: the file is missing, damaged, of a newer format, or of another architecture (the
            error names the first differences); the module is then unchanged.
    """
    tensors, _ = _read(Path(path))
    load_tensors(module, tensors, str(path))


def save_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write named numpy arrays, as :func:`save_weights` writes tensors.

    Raises:
        UserError: the file cannot be written.
    """
    write_atomic(Path(path), _serialized({n: torch.from_numpy(np.array(a)) for n, a in arrays.items()}, {}))


def load_arrays(path: Path) -> dict[str, Array]:
    """Load the arrays that :func:`save_arrays` wrote.

    Raises:
        UserError: the file is missing, damaged or of a newer format.
    """
    return {name: tensor.numpy() for name, tensor in _read(Path(path))[0].items()}


def load_tensors(module: nn.Module, tensors: Tensors, where: str) -> None:
    """Copy tensors into a module after checking all names and shapes.

    Raises:
        UserError: a name or a shape differs.
    """
    own = module.state_dict()
    lacking = [name for name in own if name not in tensors]
    foreign = [name for name in tensors if name not in own]
    shapes = [
        f"{name} is {_shape(tensors[name])} in the file and {_shape(own[name])} in the model"
        for name in own
        if name in tensors and own[name].shape != tensors[name].shape
    ]
    differences = [
        *([f"the file lacks {listed(lacking)}"] if lacking else []),
        *([f"the model lacks {listed(foreign)}"] if foreign else []),
        *([listed(shapes, "; ")] if shapes else []),
    ]
    if differences:
        raise UserError(
            "The weights must belong to this architecture.",
            f"Those in {where} do not: {'; '.join(differences)}.",
            "Use the file with its own config.toml, or train again.",
        )
    module.load_state_dict(dict(tensors))


def save_state(folder: Path, tensors: Mapping[str, Tensors], values: JsonMapping) -> None:
    """Write the state of a run to one file: groups of tensors, and JSON values in the header.

    The file is replaced in one step: a crash leaves either the previous state or the new one.

    Args:
        folder: the run folder.
        tensors: group -> name -> tensor; a group's name has no ``"/"``.
        values: anything that JSON can hold; tuples are loaded as lists.

    Raises:
        UserError: the file cannot be written.
    """
    flat = {
        f"{group}/{name}": tensor for group, members in tensors.items() for name, tensor in members.items()
    }
    write_atomic(Path(folder) / STATE, _serialized(flat, dict(values)))


def load_state(folder: Path) -> tuple[dict[str, dict[str, Tensor]], JsonObject]:
    """Load what :func:`save_state` wrote: (group -> name -> tensor, values); no empty groups.

    Raises:
        UserError: the folder has no state to resume, or the file is damaged or of a newer format.
    """
    flat, values = _read(Path(folder) / STATE)
    tensors: dict[str, dict[str, Tensor]] = {}
    for name, tensor in flat.items():
        group, _, rest = name.partition("/")
        tensors.setdefault(group, {})[rest] = tensor
    return tensors, values


def optimizer_state(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], list[JsonObject]]:
    """Return an optimizer's tensors, named ``"PARAMETER.KEY"``, and its groups, without copying."""
    state = optimizer.state_dict()
    tensors = {
        f"{i}.{key}": tensor for i, entries in state["state"].items() for key, tensor in entries.items()
    }
    return tensors, state["param_groups"]


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: Tensors, groups: list[JsonObject]) -> None:
    """Restore :func:`optimizer_state` in an optimizer of the same parameters."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = tensor
    tuples = [{k: tuple(v) if k == "betas" else v for k, v in group.items()} for group in groups]
    optimizer.load_state_dict({"state": state, "param_groups": tuples})


def _serialized(tensors: Tensors, values: JsonObject) -> bytes:
    """Serialize copies: safetensors refuses shared memory (tied weights, cuDNN's flat weights)."""
    copies = {
        name: t.detach().cpu().clone(memory_format=torch.contiguous_format) for name, t in tensors.items()
    }
    return save(
        copies, metadata={"format": "pt", "holdfast": json.dumps({"format": FORMAT, "values": values})}
    )


def _read(path: Path) -> tuple[dict[str, Tensor], JsonObject]:
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("holdfast", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except FileNotFoundError as error:
        raise UserError(
            f"A run folder must hold {path.name}.",
            f"There is none in {path.parent}.",
            "Check the name of the folder, or train first.",
        ) from error
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(
            f"{path} must be a complete safetensors file.",
            f"It cannot be read: {error}.",
            "Restore it from a backup, or train again.",
        ) from error
    check_format(header.get("format", FORMAT), str(path))
    return tensors, header.get("values", {})


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"
