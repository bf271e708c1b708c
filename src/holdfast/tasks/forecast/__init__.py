"""Forecasting: from a CSV to a report. The names are imported when they are used."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.tasks.forecast.forecaster import Forecaster

__all__ = ["Forecaster"]


def __getattr__(name: str) -> Any:
    if name == "Forecaster":
        from holdfast.tasks.forecast.forecaster import Forecaster

        return Forecaster
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
