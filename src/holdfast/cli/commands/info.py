"""``holdfast info``."""

from __future__ import annotations

from holdfast.cli import output
from holdfast.cli.params import Json


def info(*, json: Json = False) -> int:
    """Show versions, processor, devices, and which kernel runs what and why."""
    from holdfast.info import info as gather
    from holdfast.info import render

    found = gather()
    if json:
        output.write_json(found)
    else:
        output.write(render(found))
    return 0
