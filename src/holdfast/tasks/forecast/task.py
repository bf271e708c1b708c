"""The forecaster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from holdfast._json import JsonMapping, JsonObject
from holdfast._typing import Array
from holdfast.errors import UserError
from holdfast.reporting.comparison import Comparison
from holdfast.reporting.summary import TIE, best_cell
from holdfast.tasks.baselines import BaselineSet
from holdfast.tasks.forecast import trainable
from holdfast.tasks.forecast.baselines import Drift, LastValue, MeanReturn, RandomWalk, SeasonalNaive
from holdfast.tasks.forecast.config import ForecastConfig
from holdfast.tasks.forecast.dataset import read_dataset, read_whole
from holdfast.tasks.forecast.ets import Ets
from holdfast.tasks.forecast.linear import Linear
from holdfast.tasks.forecast.metrics import SCOREBOARD, Forecast, error_quantiles, score, with_intervals
from holdfast.tasks.forecast.predict import forecast_table, last_windows
from holdfast.tasks.forecast.preprocessing import ForecastDataset, ForecastPreprocessing, WindowSplit
from holdfast.tasks.forecast.trainable import WindowTraining
from holdfast.tasks.metrics import Values
from holdfast.tasks.task import Task
from holdfast.validation import unknown_choice

if TYPE_CHECKING:
    import polars as pl

_LOSS_WINDOWS = 2000
"""Training windows, spread evenly, on which the training loss is measured without dropout."""


class Forecaster(Task[ForecastConfig, WindowSplit, ForecastPreprocessing, Forecast, nn.Module]):
    """An LSTM, GRU or RNN that forecasts the next steps of one or several series.

    Give its settings by name, such as ``target="temp", horizon=24, cell="gru"`` (see
    :class:`ForecastConfig`), or all of them as ``config`` (see :class:`holdfast.tasks.task.Task`). An
    unknown setting or a value outside its rule raises UserError.

    Example:
        >>> Forecaster(target="temp", horizon=24, cell="lstm").config.network.cell
        'lstm'
    """

    task = "forecast"
    config_class = ForecastConfig
    preprocessing_class = ForecastPreprocessing
    scoreboard = SCOREBOARD
    size = "{windows:,} windows"
    title = "Forecast of {config.data.target_names}, {config.horizon} steps ahead"
    data_settings = (
        "target",
        "horizon",
        "time",
        "series",
        "past",
        "known",
        "frequency",
        "season",
        "returns",
        "sort",
    )
    sentence = "The network's {label} is {own:.4g} on {windows:,} windows; {bar}"
    intervals: Array | None = None

    # -- data and network --------------------------------------------------------------------------

    def read(self, data: Path, valid: Path | None, test: Path | None) -> ForecastDataset:
        """Read the files and cut them into windows."""
        return read_dataset(self.config, data, valid, test)

    def read_split(self, path: Path) -> tuple[WindowSplit, tuple[str, ...]]:
        """Read every window of a file.

        Raises:
            UserError: anything is wrong with it, or it has fewer rows than a window.
        """
        _, preprocessing = self.fitted()
        split = read_whole(path, self.config, preprocessing)
        panel = split.table.panel
        if not len(split):
            raise UserError(
                "A file must have at least look-back + horizon rows to be scored "
                f"({preprocessing.lookback} + {self.config.horizon}).",
                f"The longest series in {path} has {max(len(s.times) for s in panel.series)}.",
                "Give a longer file.",
            )
        return split, panel.notes

    def baseline_set(self, preprocessing: ForecastPreprocessing) -> BaselineSet[WindowSplit, Forecast]:
        """Return the baselines of levels or of returns."""
        levels, returns, season = self.config.quantiles, self.config.data.returns, preprocessing.season
        linear = Linear(preprocessing, returns, levels)
        if returns:
            return BaselineSet([RandomWalk(levels), MeanReturn(levels), linear])
        seasonal = [SeasonalNaive(season, levels)] if season > 1 else []
        return BaselineSet([LastValue(levels), *seasonal, Drift(levels), Ets(preprocessing, levels), linear])

    def network(self, preprocessing: ForecastPreprocessing) -> nn.Module:
        """Build the untrained network."""
        return trainable.build(self.config, preprocessing)

    def trainable(self, module: nn.Module, dataset: ForecastDataset) -> WindowTraining:
        """Return batches of training windows."""
        return WindowTraining(module, self.config, dataset.train, dataset.valid)

    # -- results -----------------------------------------------------------------------------------

    def calibrate(self, dataset: ForecastDataset) -> None:
        """Fit the quantiles of the validation errors [h, C, Q], unless the loss gives quantiles."""
        if self.config.loss != "pinball":
            point = trainable.outputs(self.fitted_module(), dataset.valid)[..., 0]
            self.intervals = error_quantiles(point, dataset.valid, self.config.quantiles)

    def arrays(self) -> dict[str, Array]:
        """Return the quantiles of the validation errors."""
        return {} if self.intervals is None else {"model.intervals": self.intervals}

    def load_arrays(self, arrays: dict[str, Array]) -> None:
        """Take what :meth:`arrays` returned."""
        self.intervals = arrays.get("model.intervals")

    def predictions(self, split: WindowSplit) -> Forecast:
        """Return point and quantile forecasts of every window, on the network's scale."""
        found = trainable.outputs(self.fitted_module(), split)
        if self.config.loss == "pinball":
            return Forecast(found[..., self.config.quantiles.index(0.5)], found)
        assert self.intervals is not None
        return with_intervals(found[..., 0], self.intervals)

    def by_baseline(self, name: str, split: WindowSplit) -> Forecast:
        """Return a baseline's forecasts of every window, on the network's scale.

        Raises:
            UserError: there is no baseline of this name.
        """
        assert self.baselines is not None
        members = {member.name: member for member in self.baselines.members}
        if name not in members:
            raise unknown_choice("--method", name, ["network", *members])
        return members[name].predict(split)

    def score(self, split: WindowSplit, predictions: Forecast) -> dict[str, float]:
        """Return every metric of a forecast."""
        return score(split, predictions, self.config.quantiles)

    def measure(self, split: WindowSplit) -> JsonObject:
        """Return the number of windows."""
        return {"windows": len(split)}

    def losses(self, dataset: ForecastDataset) -> dict[str, float]:
        """Return the losses, in the unit of the loss that was chosen."""
        training = self.trainable(self.fitted_module(), dataset)
        return {
            "train_loss": training.mean_loss(dataset.train, _LOSS_WINDOWS),
            "valid_loss": training.mean_loss(dataset.valid),
        }

    @classmethod
    def instead(cls, result: JsonMapping) -> str:
        """Return the command that forecasts with the best baseline; a backtest keeps no model."""
        if result["split"] == "backtest":
            return ""
        name, _ = cls.scoreboard.best(cls.scoreboard.metric(result["model"]), result["baselines"])
        return f" (predict --method {name})"

    @classmethod
    def remarks(cls, result: JsonMapping) -> list[str]:
        """Return a sentence on forecasts of prices."""
        return _prices(result["model"], result["baselines"])

    @classmethod
    def conclusions(cls, comparison: Comparison) -> list[str]:
        """Return what a comparison of cells says; for prices, with the random walk as well."""
        best = best_cell(comparison)
        names = [n for n in ("mae", "direction") if all(n in run["model"] for run in comparison.runs)]
        own = {name: comparison.metric(best, name).mean for name in names}
        return [*super().conclusions(comparison), *_prices(own, comparison.baselines)]

    @classmethod
    def examples(cls, run: str, files: Sequence[str]) -> list[list[str]]:
        """Return the command that forecasts what follows a file."""
        return [["holdfast", "predict", run, files[0], "--out", "forecast.csv", "--plot", "forecast.png"]]

    @classmethod
    def next_commands(cls, run: str, files: list[str], asked: list[str]) -> list[list[str]]:
        """Return what makes sense after a training run, and a backtest of the same settings."""
        predict, *others = super().next_commands(run, files, asked)
        if "--known" in asked:
            predict[3] = "RECENT.csv"  # it must reach into the future
        return [predict, *others, ["holdfast", "backtest", cls.task, files[0], *asked]]

    # -- use ---------------------------------------------------------------------------------------

    def predict(
        self, data: Path | str, *, plot: Path | str | None = None, method: str = "network"
    ) -> pl.DataFrame:
        """Forecast the steps after the end of a file.

        Args:
            data: a file that ends where the forecast begins, with at least a look-back of rows.
                Covariates known in advance are read from later rows, in which the targets are
                empty.
            plot: PNG file for a plot of the first target (of at most 6 series).
            method: ``"network"``, or a baseline by its name, such as ``"linear"``.

        Returns:
            One row for each series, target and step: the time, ``forecast`` and a column for each
            quantile, in the columns' units (prices where returns are forecast). ``forecast`` is the
            network's median; with ``loss`` mae or mse, and for a baseline, it is the point
            forecast.
        """
        _, preprocessing = self.fitted()
        split = last_windows(Path(data), self.config, preprocessing)
        self.notes = split.table.panel.notes
        forecast = self.predictions(split) if method == "network" else self.by_baseline(method, split)
        if plot is not None:
            from holdfast.tasks.forecast.plots import prediction_plot  # loads matplotlib

            prediction_plot(split, forecast, self.config.quantiles, Path(plot))
        return forecast_table(split, forecast, self.config)


def _prices(model: Values, baselines: Mapping[str, Values]) -> list[str]:
    """Return a sentence that compares forecasts of prices with the random walk."""
    if "random_walk" not in baselines:
        return []
    values = {name: metrics["mae"] for name, metrics in baselines.items()}
    own, walk, drift = model["mae"], values["random_walk"], values.get("drift", float("inf"))
    best, bar = ("mean return", drift) if drift < walk else ("random walk", walk)
    if own < walk * (1 - TIE):
        gain = f"{1 - own / walk:.1%}"
        found = (
            f"The network is {gain} better than the random walk. Doubt it: costs and chance are not counted."
        )
    elif min(values.values()) < bar * (1 - TIE):
        found = "The network is no better than the random walk."
    else:
        found = f"Nothing beat the {best}: these returns are not predictable from past prices."
    if "direction" in model:
        found += f" The network had the direction right {model['direction']:.1%} of the time."
    return [found]
