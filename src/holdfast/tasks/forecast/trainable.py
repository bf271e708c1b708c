"""The network of a forecaster, its training on windows, and its outputs for windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from holdfast._typing import Array
from holdfast.models.forecast import ForecastShape, RecurrentForecaster, SegmentForecaster
from holdfast.models.options import ForecastOptions
from holdfast.nn.losses import l1_loss, mse_loss, pinball_loss
from holdfast.tasks.forecast.config import ForecastConfig
from holdfast.tasks.forecast.preprocessing import ForecastPreprocessing, WindowSplit

_Batch = tuple[Tensor, Tensor, Tensor]
_Loss = Callable[[Tensor, Tensor], Tensor]

_MODELS: dict[str, Callable[[ForecastShape, ForecastOptions], nn.Module]] = {
    "recurrent": RecurrentForecaster,
    "segment": SegmentForecaster,
}
_LOSSES: dict[str, Callable[[ForecastConfig], _Loss]] = {
    "pinball": lambda config: lambda output, truth: pinball_loss(output, truth, config.quantiles),
    "mae": lambda config: l1_loss,
    "mse": lambda config: mse_loss,
}
_WINDOWS_AT_ONCE = 512


def build(config: ForecastConfig, preprocessing: ForecastPreprocessing) -> nn.Module:
    """Build the untrained network."""
    net = config.network
    features, known = preprocessing.widths(targets_only=net.targets_only)
    shape = ForecastShape(
        targets=len(preprocessing.targets),
        features=features,
        known=known,
        lookback=preprocessing.lookback,
        horizon=config.horizon,
        quantiles=len(config.quantiles) if config.loss == "pinball" else 1,
        season=preprocessing.season,
    )
    if net.residual == "auto":
        net = replace(net, residual=_residual(config, preprocessing))
    return _MODELS[net.model](shape, net)


def _residual(
    config: ForecastConfig, preprocessing: ForecastPreprocessing
) -> Literal["none", "season", "last"]:
    """Resolve ``auto``: none for returns, the season if there is one, otherwise the last value."""
    if config.data.returns:
        return "none"
    seasonal = 1 < preprocessing.season <= preprocessing.lookback and config.network.model == "recurrent"
    return "season" if seasonal else "last"


class WindowTraining:
    """Batches of windows, their loss, and the validation loss.

    The order of an epoch's windows depends on the seed and the epoch only.
    """

    monitor = "valid_loss"

    def __init__(
        self, module: nn.Module, config: ForecastConfig, train: WindowSplit, valid: WindowSplit
    ) -> None:
        self.module, self.train, self.valid = module, train, valid
        self.batch_size, self.seed = config.training.batch_size, config.training.seed
        self.criterion = _LOSSES[config.loss](config)
        self.steps_per_epoch = -(-len(train) // self.batch_size)

    def batches(self, epoch: int) -> Iterator[_Batch]:
        """Yield past [B, L, F], known future [B, h, K] and truth [B, h, C]."""
        generator = torch.Generator().manual_seed(self.seed * 100_003 + epoch)
        for windows in torch.randperm(len(self.train), generator=generator).split(self.batch_size):
            yield _batch(self.train, windows)

    def loss(self, batch: _Batch) -> Tensor:
        """Return the loss of a batch."""
        past, known, truth = batch
        return self.criterion(self.module(past, known), truth)

    def validate(self) -> dict[str, float]:
        """Return the loss over all validation windows."""
        return {self.monitor: self.mean_loss(self.valid)}

    def mean_loss(self, split: WindowSplit, most: int | None = None) -> float:
        """Return the mean loss over the observed targets of a split, without dropout.

        ``most`` is the maximum number of windows; they are spread evenly.
        """
        training = self.module.training
        self.module.eval()
        chosen = spread(len(split), most)
        device = next(self.module.parameters()).device
        with torch.no_grad():
            batches = ([t.to(device) for t in _batch(split, w)] for w in chosen.split(_WINDOWS_AT_ONCE))
            sums = [(float(self.loss((x, known, y))), int(y.isfinite().sum())) for x, known, y in batches]
        self.module.train(training)
        return sum(mean * seen for mean, seen in sums) / sum(seen for _, seen in sums)


def _batch(split: WindowSplit, windows: Tensor) -> _Batch:
    """Return past, known future and truth of some windows."""
    return split.past(windows), split.known(windows), split.truth(windows)


def spread(count: int, most: int | None) -> Tensor:
    """Return ``0 .. count - 1``, or at most ``most`` of these numbers, spread evenly."""
    if most is None or count <= most:
        return torch.arange(count)
    return torch.linspace(0, count - 1, most).round().long()


@torch.no_grad()
def outputs(module: nn.Module, split: WindowSplit) -> Array:
    """Return the network's output for every window of a split, on its own scale: [W, h, C, Q]."""
    module.eval()
    device = next(module.parameters()).device
    batches = torch.arange(len(split)).split(_WINDOWS_AT_ONCE)
    found = [module(split.past(b).to(device), split.known(b).to(device)).cpu() for b in batches]
    return torch.cat(found).numpy()
