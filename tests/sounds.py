"""Audio for tests, synthesized with numpy and written with soundfile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

Array = NDArray[np.float32]


def tone(seconds: float = 0.5, rate: int = 16000, hertz: float = 440.0, level: float = 0.5) -> Array:
    """Return a tone with some noise [n]; the noise depends on the frequency."""
    times = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(round(hertz)).normal(size=len(times)) * 0.01
    return (level * np.sin(2 * np.pi * hertz * times) + level * noise).astype(np.float32)


def write(path: Path, samples: NDArray[Any], rate: int = 16000, subtype: str | None = None) -> Path:
    """Write a sound file in the format of its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def cut(path: Path, share: float) -> Path:
    """Cut off the end of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path
