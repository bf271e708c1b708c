"""Every global random number generator at once: seeded, read and put back."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor


def seed_everything(seed: int) -> None:
    """Seed torch (all devices), numpy's global generator and Python's; call it before building a network, too."""
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries still draw from the global generator
    random.seed(seed)


def get_random_state() -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The state of all generators, as tensors and as values that JSON holds."""
    tensors = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors |= {f"cuda:{i}": state for i, state in enumerate(torch.cuda.get_rng_state_all())}
    name, keys, *rest = np.random.get_state()  # noqa: NPY002
    return tensors, {"python": random.getstate(), "numpy": [name, np.asarray(keys).tolist(), *rest]}


def set_random_state(tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
    """Put back what :func:`get_random_state` gave; generators of GPUs that this machine lacks are passed over."""
    torch.set_rng_state(tensors["cpu"])
    for i in range(torch.cuda.device_count()):
        if f"cuda:{i}" in tensors:
            torch.cuda.set_rng_state(tensors[f"cuda:{i}"], i)
    version, internal, gauss = values["python"]
    random.setstate((version, tuple(internal), gauss))
    np.random.set_state(tuple(values["numpy"]))  # noqa: NPY002
