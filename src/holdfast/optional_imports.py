"""Libraries of the extra ``holdfast[forecast]``, imported when they are used: some take seconds."""

from importlib import import_module
from types import ModuleType

from holdfast.errors import missing_library


def load_extra(module: str) -> ModuleType:
    """Import a module of the extra.

    Raises:
        UserError: it is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise missing_library(error, "forecast") from None
