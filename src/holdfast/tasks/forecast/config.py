"""Every setting of a forecaster: flags, the recipe's schema, ``config.toml`` and the constructor are these fields."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from holdfast.config import Training
from holdfast.errors import UserError


@dataclass(kw_only=True)
class DataConfig:
    """What the columns are and how the rows are used.

    Attributes:
        target: column to forecast, or several.
        time: time column, or parts such as year,month,day,hour; found when not named.
        series: column that tells several series in one file apart.
        past: covariates known up to now only.
        known: covariates known in advance (holidays, prices set, ...).
        frequency: step between rows: 30min, 1h, 1d, 1w, 1mo, 1q, 1y, or rows; found when not named.
        season: steps in a season; found when not given (1: none).
        missing: gaps in a target are masked in the loss and the score, filled with the last value, or an error.
        split: training, validation and test part, in order: fractions (0.7/0.1/0.2) or rows (8640/2880/2880).
        returns: forecast log returns of prices, against the random walk.
        sort: sort rows by time instead of refusing unsorted files.
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
            raise UserError("A forecaster needs a target column.", "None was named.", "Give --target COLUMN.")
        if self.season is not None and self.season < 1:
            raise UserError(
                "A season has at least 1 step.", f"It was {self.season}.", "Give --season 1 for none."
            )
        self.parts()

    def parts(self) -> tuple[float, float, float]:
        """The three numbers of ``split``."""
        try:
            train, valid, test = (float(part) for part in self.split.split("/"))
        except ValueError:
            train, valid, test = -1.0, -1.0, -1.0
        fractions = train < 1
        if not (train > 0 and valid > 0 and test >= 0) or (fractions and train + valid + test > 1 + 1e-9):
            raise UserError(
                "A split is train/valid/test, as fractions with a sum of at most 1 or as numbers of rows.",
                f"It was {self.split!r}.",
                "Give for example --split 0.7/0.1/0.2 or --split 8640/2880/2880.",
            )
        return train, valid, test


@dataclass(kw_only=True)
class NetworkConfig:
    """The network.

    Attributes:
        model: recurrent (reads every step) or segment (reads segments of each channel on its own: SegRNN).
        cell: rnn, gru or lstm.
        hidden_size: units of a layer.
        num_layers: recurrent layers.
        dropout: dropout probability, in training only.
        residual: what the network corrects: the last value, the mean or the values of the last season, or none (auto:
            the season where one is found, the last value otherwise and for segment, none for returns).
        segment: steps in a segment (segment model only).
    """

    model: Literal["recurrent", "segment"] = "recurrent"
    cell: Literal["rnn", "gru", "lstm"] = "gru"
    hidden_size: int = 64
    num_layers: int = 1
    dropout: float = 0.1
    residual: Literal["auto", "last", "mean", "season", "none"] = "auto"
    segment: int = 24

    def __post_init__(self) -> None:
        for name in ("hidden_size", "num_layers", "segment"):
            if getattr(self, name) < 1:
                flag = "--" + name.replace("_", "-")
                raise UserError(
                    f"{flag} is at least 1.", f"It was {getattr(self, name)}.", f"Give {flag} 1 or more."
                )
        if not 0 <= self.dropout < 1:
            raise UserError(
                "Dropout is in [0, 1).", f"It was {self.dropout}.", "Give for example --dropout 0.1."
            )


@dataclass(kw_only=True)
class ForecastConfig:
    """A forecaster.

    Attributes:
        data: columns and rows.
        network: the network.
        training: the training run.
        horizon: steps ahead to forecast.
        lookback: steps the network reads (default: twice the season, at least the horizon, at most a quarter of
            the training rows).
        quantiles: levels of the intervals; 0.5 is the point forecast.
        loss: pinball (gives quantiles), mae or mse (intervals then come from validation errors).
    """

    data: DataConfig
    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: Training = field(default_factory=Training)
    horizon: int = 1
    lookback: int | None = None
    quantiles: tuple[float, ...] = (0.1, 0.5, 0.9)
    loss: Literal["pinball", "mae", "mse"] = "pinball"

    def __post_init__(self) -> None:
        if self.network.model == "segment" and (self.data.past or self.data.known):
            raise UserError(
                "The segment model reads the targets only.",
                f"Covariates were named: {', '.join(self.data.past + self.data.known)}.",
                "Leave them out, or take --model recurrent.",
            )
        if self.horizon < 1:
            raise UserError(
                "A horizon is at least 1 step.", f"It was {self.horizon}.", "Give --horizon 1 or more."
            )
        if self.lookback is not None and self.lookback < 1:
            raise UserError(
                "A look-back is at least 1 step.", f"It was {self.lookback}.", "Give --lookback 1 or more."
            )
        levels = self.quantiles
        ordered = list(levels) == sorted(set(levels)) and all(0 < q < 1 for q in levels)
        if not ordered or 0.5 not in levels:
            raise UserError(
                "Quantiles are increasing levels in (0, 1) that contain 0.5.",
                f"They were {', '.join(map(str, levels)) or 'none'}.",
                "Give for example --quantiles 0.1,0.5,0.9.",
            )


@dataclass(kw_only=True)
class Prediction:
    """What is asked of a forecast.

    Attributes:
        plot: PNG file to draw the forecast into.
        method: the network, or one of the simple methods that evaluate names, such as linear.
    """

    plot: Path | None = None
    method: str = "network"
