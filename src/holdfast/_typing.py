"""Type aliases that every floor shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
"""A numpy array of any dtype; docstrings give its shape."""

JsonObject = dict[str, Any]
"""Named values that JSON or TOML can hold, such as a result or a part of a file."""

JsonMapping = Mapping[str, Any]
"""The same, only read."""

Keywords = dict[str, Any]
"""Keyword arguments, by name."""
