"""Libraries that Holdfast's extras install, imported at first use: some take seconds."""

from importlib import import_module
from types import ModuleType

from holdfast.errors import missing_library


def load_extra(module: str, extra: str) -> ModuleType:
    """Import a module that ``holdfast[extra]`` installs.

    Raises:
        UserError: the library is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise missing_library(error, extra) from None
