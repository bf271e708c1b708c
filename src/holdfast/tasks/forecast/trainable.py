"""The network of a forecaster: built from the configuration, trained on windows, run over windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from holdfast._typing import Array
from holdfast.models.forecast import ForecastOptions, ForecastShape, RecurrentForecaster, SegmentForecaster
from holdfast.nn.losses import l1_loss, mse_loss, pinball_loss
from holdfast.tasks.forecast.config import ForecastConfig
from holdfast.tasks.forecast.preprocessing import Schema
from holdfast.tasks.forecast.windows import Part

Batch = tuple[Tensor, Tensor, Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]

_MODELS: dict[str, Callable[[ForecastShape, ForecastOptions], nn.Module]] = {
    "recurrent": RecurrentForecaster,
    "segment": SegmentForecaster,
}
LOSSES: dict[str, Callable[[ForecastConfig], Loss]] = {
    "pinball": lambda config: lambda output, truth: pinball_loss(output, truth, config.quantiles),
    "mae": lambda config: l1_loss,
    "mse": lambda config: mse_loss,
}
_WINDOWS_AT_ONCE = 512


def build(config: ForecastConfig, schema: Schema, features: int, known: int) -> nn.Module:
    """An untrained network for F ``features`` of the past and K ``known`` of the future."""
    net = config.network
    shape = ForecastShape(
        targets=len(schema.targets),
        features=features,
        known=known,
        lookback=schema.lookback,
        horizon=config.horizon,
        quantiles=len(config.quantiles) if config.loss == "pinball" else 1,
        season=schema.season,
    )
    options = ForecastOptions(
        cell=net.cell,
        hidden_size=net.hidden_size,
        num_layers=net.num_layers,
        dropout=net.dropout,
        residual=_residual(config, schema) if net.residual == "auto" else net.residual,
        segment=net.segment,
    )
    return _MODELS[net.model](shape, options)


def _residual(config: ForecastConfig, schema: Schema) -> str:
    """What ``auto`` stands for: none for returns, the season where the recurrent network has one, else last."""
    if config.data.returns:
        return "none"
    seasonal = 1 < schema.season <= schema.lookback and config.network.model == "recurrent"
    return "season" if seasonal else "last"


class WindowTraining:
    """What the training loop asks for: batches of windows, their loss, and the loss on the validation part.

    The order of an epoch's windows depends on the seed and the epoch alone.
    """

    monitor = "valid_loss"

    def __init__(self, module: nn.Module, config: ForecastConfig, train: Part, valid: Part) -> None:
        self.module, self.train, self.valid = module, train, valid
        self.batch_size, self.seed = config.training.batch_size, config.training.seed
        self.criterion = LOSSES[config.loss](config)
        self.steps_per_epoch = -(-len(train) // self.batch_size)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Past [B, L, F], known future [B, h, K] and truth [B, h, C]; every training window once in an epoch."""
        generator = torch.Generator().manual_seed(self.seed * 100_003 + epoch)
        for windows in torch.randperm(len(self.train), generator=generator).split(self.batch_size):
            yield batch(self.train, windows)

    def loss(self, batch: Batch) -> Tensor:
        """The criterion of a batch."""
        past, known, truth = batch
        return self.criterion(self.module(past, known), truth)

    def validate(self) -> dict[str, float]:
        """The criterion over all validation windows."""
        return {self.monitor: self.mean_loss(self.valid)}

    def mean_loss(self, part: Part, most: int | None = None) -> float:
        """The criterion over the observed targets of a part, without dropout.

        Of ``most`` windows spread evenly, where that is fewer.
        """
        training = self.module.training
        self.module.eval()
        chosen = spread(len(part), most)
        device = next(self.module.parameters()).device
        with torch.no_grad():
            batches = ([t.to(device) for t in batch(part, w)] for w in chosen.split(_WINDOWS_AT_ONCE))
            sums = [(float(self.loss((past, known, truth))), _seen(truth)) for past, known, truth in batches]
        self.module.train(training)
        return sum(mean * seen for mean, seen in sums) / sum(seen for _, seen in sums)


def _seen(truth: Tensor) -> int:
    """How many targets are observed."""
    return int(truth.isfinite().sum())


def batch(part: Part, windows: Tensor) -> Batch:
    """Past, known future and truth of some windows."""
    return part.past(windows), part.known(windows), part.truth(windows)


def spread(count: int, most: int | None) -> Tensor:
    """All of ``count`` numbers, or ``most`` of them spread evenly."""
    if most is None or count <= most:
        return torch.arange(count)
    return torch.linspace(0, count - 1, most).round().long()


@torch.no_grad()
def run(module: nn.Module, part: Part) -> Array:
    """Forecasts of every window of a part, on the network's scale: [W, h, C, Q]."""
    module.eval()
    device = next(module.parameters()).device
    batches = torch.arange(len(part)).split(_WINDOWS_AT_ONCE)
    outputs = [module(part.past(b).to(device), part.known(b).to(device)).cpu() for b in batches]
    return torch.cat(outputs).numpy()
