"""The device that a run computes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from holdfast.config import check_device
from holdfast.errors import UserError

if TYPE_CHECKING:
    from lightning_fabric import Fabric


_PRECISIONS: dict[str, Any] = {"fp32": "32-true", "bf16": "bf16-mixed"}


def open_fabric(device: str, precision: str = "fp32") -> Fabric:
    """Lightning Fabric for one device of this machine.

    Args:
        device: ``"auto"`` (a CUDA GPU where there is one, else the CPU), ``"cpu"``, ``"cuda:1"``, ...
        precision: a name in :data:`_PRECISIONS`.

    Raises:
        UserError: this machine has no such device.
    """
    from lightning_fabric import Fabric

    found = find_device(device)
    devices: Any = [found.index or 0] if found.type == "cuda" else 1
    return Fabric(accelerator=found.type, devices=devices, precision=_PRECISIONS[precision])


def find_device(device: str) -> torch.device:
    """The device of this machine with a name such as ``"auto"``, ``"cpu"``, ``"cuda:1"`` or ``"mps"``.

    Raises:
        UserError: no such name, or this machine has no such device.
    """
    check_device(device)
    kind, _, index = device.partition(":")
    if kind == "auto":
        kind = "cuda" if torch.cuda.is_available() else "cpu"
    present = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if int(index or 0) >= present[kind]:
        names = [f"{name} ({count})" if count > 1 else name for name, count in present.items() if count]
        raise UserError(
            "device must be there on this machine.",
            f"{device!r} was asked for, and there is {', '.join(names)}.",
            "Give --device auto to use what there is.",
        )
    return torch.device(kind, int(index or 0)) if kind == "cuda" else torch.device(kind)
