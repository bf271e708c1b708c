"""The forecaster: fit, evaluate, predict, save and load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from holdfast._typing import Array
from holdfast.errors import UserError
from holdfast.tasks.forecast import prediction, trainable
from holdfast.tasks.forecast.baselines import Baselines
from holdfast.tasks.forecast.config import ForecastConfig
from holdfast.tasks.forecast.dataset import Prepared, prepare, rows_for, whole_file
from holdfast.tasks.forecast.preprocessing import Schema
from holdfast.tasks.forecast.scoring import Forecast, error_quantiles, score, with_intervals
from holdfast.tasks.forecast.windows import Part, feature_widths, widths
from holdfast.tasks.legacy import LEARNT, TaskModel

if TYPE_CHECKING:
    import polars as pl

_TRAIN_WINDOWS = 2000
"""Training windows, spread evenly, on which the training loss is taken again without dropout."""


class Forecaster(TaskModel):
    """An LSTM, GRU or RNN that forecasts the next steps of one or several series.

    Args:
        config: every setting; or give its fields by name, which go to the part that has them.
        fields: for example ``target="temp", horizon=24, cell="gru"`` (see :class:`ForecastConfig`).

    Raises:
        UserError: a field that does not exist, or a value outside its rule.

    Example:
        >>> Forecaster(target="temp", horizon=24, cell="lstm").config.network.cell
        'lstm'
    """

    task = "forecast"
    settings = ForecastConfig

    def __init__(self, config: ForecastConfig | None = None, **fields: Any) -> None:
        super().__init__(config, **fields)
        self.schema: Schema | None = None
        self.intervals: Array | None = None

    def prepare(
        self, data: Path | str, valid: Path | str | None = None, test: Path | str | None = None
    ) -> Prepared:
        """Read the files and cut them into windows; does not depend on the cell, the network or the seed."""
        others = [None if path is None else Path(path) for path in (valid, test)]
        return prepare(self.config, Path(data), *others)

    def fit_baselines(self, prepared: Prepared) -> Baselines:
        """What the network has to beat, fitted on the same windows."""
        return Baselines.fit(self.config, prepared.schema, prepared.train, prepared.valid)

    def _learn(self, prepared: Prepared) -> None:
        self.schema = prepared.schema

    def _save_learnt(self, folder: Path) -> None:
        assert self.schema is not None
        self.schema.save(folder / LEARNT)

    def _load_learnt(self, path: Path) -> None:
        self.schema = Schema.load(path)

    def _empty(self) -> torch.nn.Module:
        assert self.schema is not None
        sizes = feature_widths(self.schema, wide=self.config.network.model == "recurrent")
        return trainable.build(self.config, self.schema, *sizes)

    def _arrays(self) -> dict[str, Array]:
        own = {} if self.intervals is None else {"model.intervals": self.intervals}
        return super()._arrays() | own

    def _take_arrays(self, arrays: dict[str, Array]) -> None:
        assert self.schema is not None
        self.intervals = arrays.pop("model.intervals", None)
        self.baselines = Baselines.from_state(self.config, self.schema, arrays)

    def _is_learnt(self, folder: Path, prepared: Prepared) -> bool:
        return Schema.load(folder / LEARNT) == prepared.schema

    def _network(self, prepared: Prepared) -> tuple[torch.nn.Module, trainable.WindowTraining]:
        module = trainable.build(self.config, prepared.schema, *widths(prepared.train.rows))
        return module, trainable.WindowTraining(module, self.config, prepared.train, prepared.valid)

    def _judge(self, prepared: Prepared, training: trainable.WindowTraining) -> dict[str, Any]:
        self.intervals = self._fit_intervals(prepared.valid)
        name = "test" if prepared.test else "validation"
        return self._scores(prepared.test or prepared.valid, name) | {
            "train_loss": training.mean_loss(prepared.train, _TRAIN_WINDOWS),
            "valid_loss": training.mean_loss(prepared.valid),
            "training_size": len(prepared.train),
        }

    def _fit_intervals(self, valid: Part) -> Array | None:
        """Quantiles of the validation errors [h, C, Q], where the loss gives none."""
        if self.config.loss == "pinball":
            return None
        module, _ = self._fitted()
        return error_quantiles(trainable.run(module, valid)[..., 0], valid, self.config.quantiles)

    # -- figures -------------------------------------------------------------------------------------------------

    def _read(self, path: Path) -> Part:
        _, schema = self._fitted()
        part = whole_file(rows_for(path, self.config, schema), self.config)
        if not len(part):
            longest = max(len(s.times) for s in part.rows.panel.series)
            raise UserError(
                f"Scoring needs look-back + horizon rows ({schema.lookback} + {self.config.horizon}).",
                f"The longest series in {path} has {longest}.",
                "Give a longer file.",
            )
        self.notes = part.rows.panel.notes
        return part

    def forecast(self, part: Part) -> Forecast:
        """Point and quantile forecasts of every window, on the network's scale."""
        module, _ = self._fitted()
        output = trainable.run(module, part)
        if self.config.loss == "pinball":
            return Forecast(output[..., self.config.quantiles.index(0.5)], output)
        assert self.intervals is not None
        return with_intervals(output[..., 0], self.intervals)

    def _figures(self, part: Part) -> dict[str, float]:
        return score(self.forecast(part), part, self.config.quantiles)

    def _baseline_figures(self, part: Part) -> dict[str, dict[str, float]]:
        assert self.baselines is not None
        return {n: score(f, part, self.config.quantiles) for n, f in self.baselines.each(part)}

    def _size(self, part: Part) -> dict[str, Any]:
        return {"windows": len(part)}

    # -- use -----------------------------------------------------------------------------------------------------

    def predict(
        self, data: Path | str, *, plot: Path | str | None = None, method: str = "network"
    ) -> pl.DataFrame:
        """Forecast the steps after the end of a file.

        Args:
            data: a file that ends where the forecast begins, with at least a look-back of rows. Covariates known in
                advance are read from rows behind, in which the targets are empty.
            plot: PNG file to draw the forecast of the first target into (of at most 6 series).
            method: ``"network"``, or a baseline by its name, such as ``"linear"``.

        Returns:
            One row for each series, target and step: the time, ``forecast`` (the network's median; with ``loss`` mae
            or mse, and of a baseline, its own point forecast) and a column for each quantile, in the columns' units
            (prices where returns are forecast).
        """
        _, schema = self._fitted()
        part = prediction.last_windows(Path(data), self.config, schema)
        self.notes = part.rows.panel.notes
        forecast = self._by(method, part)
        if plot is not None:
            from holdfast.tasks.forecast.plots import prediction_plot  # loads matplotlib

            prediction_plot(part, forecast, self.config.quantiles, Path(plot))
        return prediction.table(part, forecast, self.config)

    def _by(self, method: str, part: Part) -> Forecast:
        """Forecasts by the network or by a baseline."""
        if method == "network":
            return self.forecast(part)
        assert self.baselines is not None
        names = [member.name for member in self.baselines.members]
        if method not in names:
            raise UserError(
                f"Methods are: network, {', '.join(names)}.", f"It was {method!r}.", "Give one of these."
            )
        found: Forecast = next(f for name, f in self.baselines.each(part) if name == method)
        return found

    def _fitted(self) -> tuple[torch.nn.Module, Schema]:
        module = self._trained()
        assert self.schema is not None
        return module, self.schema
