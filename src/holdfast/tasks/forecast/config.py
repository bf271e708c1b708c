"""Settings of a forecaster: flags, recipe fields, ``config.toml`` and constructor arguments."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from holdfast.config import Training
from holdfast.errors import UserError
from holdfast.models.options import ForecastOptions
from holdfast.validation import check_at_least, check_sizes


@dataclass(kw_only=True)
class DataConfig:
    """Columns and rows of the data.

    Attributes:
        target: column to forecast, or several; needed, unless a recipe names it.
        time: time column, or several such as year,month,day,hour; found automatically when not
            given.
        series: column that names the series, where a file holds several.
        past: covariates known up to the present only.
        known: covariates known in advance, such as holidays.
        frequency: step between rows: 30min, 1h, 1d, 1w, 1mo, 1q, 1y, or rows; found automatically
            when not given.
        season: steps in a season, 1 for none; found automatically when not given.
        missing: treatment of missing targets: mask (leave out of loss and metrics), fill (repeat
            the last value) or error.
        split: training, validation and test split, in order: fractions (0.7/0.1/0.2) or rows
            (8640/2880/2880).
        returns: forecast log returns of prices, and compare with the random walk.
        sort: sort the rows by time; an unsorted file is an error otherwise.
    """

    target: tuple[str, ...] = ()
    time: str | None = None
    series: str | None = None
    past: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    frequency: str | None = None
    season: int | None = None
    missing: Literal["mask", "fill", "error"] = "mask"
    split: str = "0.7/0.1/0.2"
    returns: bool = False
    sort: bool = False

    def __post_init__(self) -> None:
        if not self.target:
            raise UserError(
                "A forecaster must have a target column.", "None was given.", "Give --target COLUMN."
            )
        check_at_least("season", self.season, 1, 24)
        self.split_sizes()

    @property
    def target_names(self) -> str:
        """Names of the targets, for a title."""
        return ", ".join(self.target)

    def split_sizes(self) -> tuple[float, float, float]:
        """Return the three numbers of ``split``."""
        try:
            train, valid, test = (float(part) for part in self.split.split("/"))
        except ValueError:
            train, valid, test = -1.0, -1.0, -1.0
        fractions = train < 1
        if not (train > 0 and valid > 0 and test >= 0) or (fractions and train + valid + test > 1 + 1e-9):
            raise UserError(
                "--split must be TRAIN/VALID/TEST: fractions with a sum of at most 1, or numbers of rows.",
                f"It was {self.split!r}.",
                "Give for example --split 0.7/0.1/0.2 or --split 8640/2880/2880.",
            )
        return train, valid, test


@dataclass(kw_only=True)
class ForecastConfig:
    """A network that forecasts columns of a table.

    Attributes:
        data: columns and rows.
        network: the network.
        training: the training run.
        horizon: steps ahead to forecast.
        lookback: steps that the network reads; twice the season when not given (at least the
            horizon, at most a quarter of the training rows).
        quantiles: quantile levels of the intervals; 0.5 is the point forecast.
        loss: pinball (forecasts quantiles), mae or mse (intervals come from the validation errors).
    """

    data: DataConfig
    network: ForecastOptions = field(default_factory=ForecastOptions)
    training: Training = field(default_factory=Training)
    horizon: int = 1
    lookback: int | None = None
    quantiles: tuple[float, ...] = (0.1, 0.5, 0.9)
    loss: Literal["pinball", "mae", "mse"] = "pinball"

    def __post_init__(self) -> None:
        if self.network.targets_only and (self.data.past or self.data.known):
            raise UserError(
                "The segment model must have no covariates.",
                f"Given: {', '.join(self.data.past + self.data.known)}.",
                "Leave them out, or give --model recurrent.",
            )
        check_sizes(self, "horizon", "lookback")
        levels = self.quantiles
        ordered = list(levels) == sorted(set(levels)) and all(0 < q < 1 for q in levels)
        if not ordered or 0.5 not in levels:
            raise UserError(
                "Quantile levels must increase, lie in (0, 1) and contain 0.5.",
                f"They were {', '.join(map(str, levels)) or 'none'}.",
                "Give for example --quantiles 0.1,0.5,0.9.",
            )


@dataclass(kw_only=True)
class Prediction:
    """Forecast what follows the end of a file.

    Attributes:
        plot: PNG file to write a plot of the forecast to.
        method: network, or a baseline that evaluate lists, such as linear.
    """

    plot: Path | None = None
    method: str = "network"
