"""Fixtures of every test: seeds, settings of hypothesis, and optional datasets."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import holdfast  # noqa: F401 - before torch, which reads once how long its threads spin

# isort: split
import pytest
import torch
from hypothesis import HealthCheck, settings

# The same examples in every run and no deadline: a busy machine is not a failure.
settings.register_profile(
    "holdfast", derandomize=True, deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("holdfast")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Seed each test, so that its random numbers do not depend on the tests before it."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _threads_as_found() -> Iterator[None]:
    """Restore torch's number of threads after each test, since sums depend on it."""
    before = torch.get_num_threads()
    yield
    found = torch.get_num_threads()
    torch.set_num_threads(before)
    assert found == before, f"the test leaves torch with {found} threads, not {before}"


@pytest.fixture(autouse=True, scope="session")
def _heeds_ctrl_c() -> None:
    """Restore Ctrl-C, which a shell lets its background jobs ignore."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def shared_data() -> Callable[[str], Path]:
    """``shared_data("ett/ETTh1.csv")``: a public dataset in $HOLDFAST_DATA, or skip the test.

    The datasets: ``ett/`` of github.com/zhouhaoyi/ETDataset, and the files named in the tests.
    """

    def find(name: str) -> Path:
        path = Path(os.environ.get("HOLDFAST_DATA", "none")) / name
        if not path.exists():
            pytest.skip(f"needs {name} in the folder that HOLDFAST_DATA names")
        return path

    return find
