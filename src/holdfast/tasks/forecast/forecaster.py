"""The forecaster: fit, evaluate, predict, save and load."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch

from holdfast.checkpoint import load_arrays, load_weights, save_arrays, save_weights
from holdfast.config import build_config, load_config, save_config
from holdfast.errors import UserError
from holdfast.files import load_json, new_folder, save_json
from holdfast.quantization import quantize
from holdfast.tasks.forecast import network, prediction
from holdfast.tasks.forecast.baselines import Baselines
from holdfast.tasks.forecast.config import ForecastConfig
from holdfast.tasks.forecast.prepare import Prepared, prepare, rows_for, whole_file
from holdfast.tasks.forecast.rows import Part, feature_widths, widths
from holdfast.tasks.forecast.schema import Schema
from holdfast.tasks.forecast.scoring import Forecast, error_quantiles, score, with_intervals
from holdfast.training import History, fit
from holdfast.training.reporting import notice

if TYPE_CHECKING:
    import polars as pl

Array = np.ndarray
TRAIN_WINDOWS = 2000
"""Training windows, spread evenly, on which the training loss is taken again without dropout."""


class Forecaster:
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

    def __init__(self, config: ForecastConfig | None = None, **fields: Any) -> None:
        self.config = build_config(ForecastConfig, fields) if config is None else config
        self.module: torch.nn.Module | None = None
        self.schema: Schema | None = None
        self.history: History | None = None
        self.prepared: Prepared | None = None
        self.baselines: Baselines | None = None
        self.intervals: Array | None = None
        self.metrics: dict[str, Any] = {}
        self.notes: tuple[str, ...] = ()  # what to tell of the file last evaluated or predicted from

    # -- training ------------------------------------------------------------------------------------------------

    def fit(
        self,
        data: Path | str,
        *,
        valid: Path | str | None = None,
        test: Path | str | None = None,
        out: Path | str | None = None,
        resume: bool = False,
        overwrite: bool = False,
        progress: bool = False,
    ) -> Self:
        """Train on a CSV or Parquet file, and score the test part once.

        Args:
            data: the file; cut into training, validation and test part in order of time.
            valid, test: files of their own for these parts.
            out: run folder to write; nothing is written when None.
            resume: go on with the run in ``out``.
            overwrite: write over an earlier run in ``out``.
            progress: a progress bar on stderr.

        Raises:
            UserError: for everything that is wrong with a file or a setting; nothing is then written.
        """
        prepared = self.prepare(data, valid, test)
        if out is None:
            return self.fit_prepared(prepared, progress=progress)
        folder = Path(out)

        def starting() -> None:
            if resume:
                (folder / "metrics.json").unlink(missing_ok=True)  # the run is not finished any more
            else:
                new_folder(folder, overwrite=overwrite)
                save_config(folder / "config.toml", self.task, self.config)
                prepared.schema.save(folder / "data.json")
            if progress:
                notice(f"The run's folder is {folder}.")

        if resume:
            self._check_resumed(folder, prepared.schema)
        self.fit_prepared(prepared, folder=folder, resume=resume, progress=progress, starting=starting)
        if self.metrics:
            self.save(folder)
        return self

    def _check_resumed(self, folder: Path, schema: Schema) -> None:
        """A run goes on with the network and the data that it began with; nothing is written before that is sure."""
        began = load_config(folder / "config.toml", ForecastConfig)
        same = replace(self.config, training=began.training) == began
        if not same or Schema.load(folder / "data.json") != schema:
            raise UserError(
                "A resumed run keeps its settings and its data.",
                f"The {'data' if same else 'settings'} differ from those of the run in {folder}.",
                "Give those it began with, or train anew with another --out.",
            )

    def prepare(
        self, data: Path | str, valid: Path | str | None = None, test: Path | str | None = None
    ) -> Prepared:
        """Read the files and cut them into windows; does not depend on the cell, the network or the seed."""
        others = [None if path is None else Path(path) for path in (valid, test)]
        return prepare(self.config, Path(data), *others)

    def fit_prepared(
        self,
        prepared: Prepared,
        *,
        baselines: Baselines | None = None,
        folder: Path | None = None,
        resume: bool = False,
        progress: bool = False,
        starting: Callable[[], None] = lambda: None,
    ) -> Self:
        """Train on windows that are prepared already; ``baselines`` that are fitted already are not fitted again.

        The other arguments are those of :func:`holdfast.training.fit`.
        """
        self.prepared, self.schema = prepared, prepared.schema
        torch.manual_seed(self.config.training.seed)
        self.module = network.build(self.config, self.schema, *widths(prepared.train.rows))
        windows = network.WindowTraining(self.module, self.config, prepared.train, prepared.valid)
        self.history = fit(
            windows,
            self.config.training,
            folder=folder,
            resume=resume,
            progress=progress,
            starting=starting,
        )
        if self.history.stopped != "interrupted":
            self._finish(prepared, windows, baselines)
        return self

    def fit_baselines(self, prepared: Prepared) -> Baselines:
        """What the network has to beat, fitted on the same windows."""
        return Baselines.fit(self.config, prepared.schema, prepared.train, prepared.valid)

    def _finish(
        self, prepared: Prepared, windows: network.WindowTraining, baselines: Baselines | None
    ) -> None:
        """Figures of the trained network: the test part is read here, once."""
        assert self.history is not None
        if self.history.best_epoch is None:
            raise UserError(
                "A network is judged after at least one validated epoch.",
                "The budget ended before that.",
                "Give a longer --budget.",
            )
        self.intervals = self._fit_intervals(prepared.valid)
        fitted = baselines or self.fit_baselines(prepared)
        self.baselines = fitted
        self.metrics = self._scores(
            prepared.test or prepared.valid, "test" if prepared.test else "validation"
        )
        epochs = self.history.epochs
        self.metrics |= {
            "seconds": self.history.seconds,
            "seconds_per_epoch": self.history.seconds / max(1, len(epochs)),
            "epochs": len(epochs),
            "best_epoch": self.history.best_epoch,
            "stopped": self.history.stopped,
            "train_loss": windows.mean_loss(prepared.train, TRAIN_WINDOWS),
            "valid_loss": windows.mean_loss(prepared.valid),
            "seed": self.config.training.seed,
            "cell": self.config.network.cell,
            "training_windows": len(prepared.train),
            "notes": [*prepared.notes, *fitted.notes],
        }

    def _fit_intervals(self, valid: Part) -> Array | None:
        """Quantiles of the validation errors [h, C, Q], where the loss gives none."""
        if self.config.loss == "pinball":
            return None
        module, _ = self._fitted()
        return error_quantiles(network.run(module, valid)[..., 0], valid, self.config.quantiles)

    # -- figures -------------------------------------------------------------------------------------------------

    def evaluate(self, data: Path | str | None = None, *, int8: bool = False) -> dict[str, Any]:
        """Figures of the model and of every baseline on the same windows.

        Args:
            data: a file of which every window is scored; None gives the test part's figures from training.
            int8: also score the model with its recurrent layers in int8 (:func:`holdfast.quantize`), on the file.

        Returns:
            ``task``, ``part``, ``model`` (metric -> value), ``baselines`` (name -> the same metrics), ``parameters``,
            ``seconds`` (of training), ``windows``; of a file also ``scoring_seconds``, and ``int8`` where asked. The
            units are the columns' own; ``mse_z`` and ``mae_z`` are on the training scale.
        """
        if data is None:
            if int8:
                rule = "int8 is scored on a file."
                raise UserError(rule, "None was given.", "Give one that training did not see.")
            return self.metrics
        start = time.perf_counter()
        part = self._part(Path(data))
        figures = self._scores(part, "file")
        if int8:
            figures["int8"] = score(self._quantized().forecast(part), part, self.config.quantiles)
        took = time.perf_counter() - start
        return figures | {"seconds": self.metrics.get("seconds"), "scoring_seconds": took}

    def _part(self, path: Path) -> Part:
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
        output = network.run(module, part)
        if self.config.loss == "pinball":
            return Forecast(output[..., self.config.quantiles.index(0.5)], output)
        assert self.intervals is not None
        return with_intervals(output[..., 0], self.intervals)

    def _quantized(self) -> Self:
        twin = copy.copy(self)
        twin.module = quantize(self._fitted()[0])
        return twin

    def _scores(self, part: Part, name: str) -> dict[str, Any]:
        module, _ = self._fitted()
        assert self.baselines is not None
        levels = self.config.quantiles
        return {
            "task": self.task,
            "part": name,
            "model": score(self.forecast(part), part, levels),
            "baselines": {n: score(f, part, levels) for n, f in self.baselines.each(part)},
            "parameters": sum(p.numel() for p in module.parameters()),
            "windows": len(part),
        }

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
            from holdfast.tasks.forecast.pictures import prediction_plot  # loads matplotlib

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
        return next(forecast for name, forecast in self.baselines.each(part) if name == method)

    def _fitted(self) -> tuple[torch.nn.Module, Schema]:
        if self.module is None or self.schema is None:
            raise UserError(
                "A forecaster is fitted before it is used.", "This one is not.", "Call fit(...) or load(...)."
            )
        return self.module, self.schema

    def save(self, folder: Path | str) -> None:
        """Write the configuration, what was learnt of the data, the weights, the baselines and the figures."""
        module, schema = self._fitted()
        assert self.baselines is not None
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        save_config(folder / "config.toml", self.task, self.config)
        schema.save(folder / "data.json")
        save_weights(folder / "model.safetensors", module)
        own = {} if self.intervals is None else {"model.intervals": self.intervals}
        save_arrays(folder / "baselines.safetensors", self.baselines.state() | own)
        save_json(folder / "metrics.json", self.metrics)

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Read what :meth:`save` wrote; nothing is unpickled.

        Raises:
            UserError: a missing or damaged file, or a folder written by a newer Holdfast.
        """
        folder = Path(folder)
        self = cls(load_config(folder / "config.toml", ForecastConfig))
        schema = self.schema = Schema.load(folder / "data.json")
        sizes = feature_widths(schema, wide=self.config.network.model == "recurrent")
        self.module = network.build(self.config, schema, *sizes)
        load_weights(folder / "model.safetensors", self.module)
        arrays = load_arrays(folder / "baselines.safetensors")
        self.intervals = arrays.pop("model.intervals", None)
        self.baselines = Baselines.from_state(self.config, schema, arrays)
        self.metrics = load_json(folder / "metrics.json")
        return self
