"""What every test shares: seeds, hypothesis' settings and the optional data sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

# The same examples in every run, and none judged by the clock: a busy machine is no failure.
settings.register_profile(
    "holdfast", derandomize=True, deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("holdfast")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Each test draws the same numbers, whichever tests ran before it."""
    torch.manual_seed(0)


@pytest.fixture
def shared_data() -> Callable[[str], Path]:
    """``shared_data("weather.csv")``: a file of ../shared/data beside the repository; skips where it is absent."""

    def find(name: str) -> Path:
        path = ROOT.parent / "shared" / "data" / name
        if not path.exists():
            pytest.skip(f"needs ../shared/data/{name}, which is not there")
        return path

    return find
