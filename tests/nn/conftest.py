"""Fixtures of the tests of layers and kernels."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from holdfast.nn.kernels import native


@pytest.fixture
def _settings_restored() -> Iterator[None]:
    """Restore torch's number of threads and the core's settings after a test that changes them."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    if native.available() is None:
        core = native.binding._core
        core.select("auto")
        core.eager(False)
        core.poison(False)
