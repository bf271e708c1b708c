"""The ``holdfast`` command: results go to stdout, progress and notices to stderr."""

from holdfast.cli.app import main

__all__ = ["main"]
