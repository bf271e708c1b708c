"""The device that a run computes on, and the global random number generators."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from holdfast._json import JsonObject
from holdfast.config import check_device
from holdfast.errors import UserError

if TYPE_CHECKING:
    from lightning_fabric import Fabric


_PRECISIONS: dict[str, Literal["32-true", "bf16-mixed"]] = {"fp32": "32-true", "bf16": "bf16-mixed"}


def open_fabric(device: str, precision: str = "fp32") -> Fabric:
    """Return Lightning Fabric for one device of this machine.

    Args:
        device: ``"auto"`` (a CUDA GPU if there is one, else the CPU), ``"cpu"``, ``"cuda:1"``, ...
        precision: ``"fp32"`` or ``"bf16"``.

    Raises:
        UserError: this machine has no such device.
    """
    from lightning_fabric import Fabric

    found = find_device(device)
    devices = [found.index or 0] if found.type == "cuda" else 1
    return Fabric(accelerator=found.type, devices=devices, precision=_PRECISIONS[precision])


def find_device(device: str) -> torch.device:
    """Return the device with a name such as ``"auto"``, ``"cpu"``, ``"cuda:1"`` or ``"mps"``.

    Raises:
        UserError: the name is unknown, or this machine has no such device.
    """
    check_device(device)
    kind, _, index = device.partition(":")
    if kind == "auto":
        kind = "cuda" if torch.cuda.is_available() else "cpu"
    present = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if int(index or 0) >= present[kind]:
        names = [f"{name} ({count})" if count > 1 else name for name, count in present.items() if count]
        raise UserError(
            "The device must exist on this machine.",
            f"There is no {device!r}, only {', '.join(names)}.",
            "Give --device auto to use the best one available.",
        )
    return torch.device(kind, int(index or 0)) if kind == "cuda" else torch.device(kind)


def seed_everything(seed: int) -> None:
    """Seed the global generators of torch, numpy and Python; also call it before building networks."""
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries still sample from the global generator
    random.seed(seed)


def get_random_state() -> tuple[dict[str, Tensor], JsonObject]:
    """Return the state of all global generators, as tensors and as values for JSON."""
    tensors = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors |= {f"cuda:{i}": state for i, state in enumerate(torch.cuda.get_rng_state_all())}
    name, keys, *rest = np.random.get_state()  # noqa: NPY002
    return tensors, {"python": random.getstate(), "numpy": [name, np.asarray(keys).tolist(), *rest]}


def set_random_state(tensors: dict[str, Tensor], values: JsonObject) -> None:
    """Restore the result of :func:`get_random_state`; skip the GPUs that this machine lacks."""
    torch.set_rng_state(tensors["cpu"])
    for i in range(torch.cuda.device_count()):
        if f"cuda:{i}" in tensors:
            torch.cuda.set_rng_state(tensors[f"cuda:{i}"], i)
    version, internal, gauss = values["python"]
    random.setstate((version, tuple(internal), gauss))
    np.random.set_state(tuple(values["numpy"]))  # noqa: NPY002
