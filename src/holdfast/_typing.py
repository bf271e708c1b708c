"""Type aliases that every floor shares."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
"""A numpy array of any dtype; docstrings give its shape."""
