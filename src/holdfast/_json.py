"""Type aliases of what JSON, TOML and keyword arguments hold; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

JsonObject = dict[str, Any]
"""Named values that JSON or TOML can hold, such as a result or a part of a file."""

JsonMapping = Mapping[str, Any]
"""The same, only read."""

Keywords = dict[str, Any]
"""Keyword arguments, by name."""
