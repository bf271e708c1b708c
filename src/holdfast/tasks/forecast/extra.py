"""Libraries of the extra ``holdfast[forecast]``, imported when they are used: some take seconds."""

from importlib import import_module
from types import ModuleType

from holdfast.errors import UserError


def extra(module: str, purpose: str) -> ModuleType:
    """Import a module of the extra.

    Raises:
        UserError: it is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise UserError(
            f"{purpose} needs the extra libraries of forecasting.",
            f"{error.name} is not installed.",
            "Run: pip install 'holdfast[forecast]'.",
        ) from None
