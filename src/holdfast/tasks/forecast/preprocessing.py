"""What a forecaster has learnt of its data before any network: columns, step, season and scales (``data.json``)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from holdfast.config import from_dict
from holdfast.errors import UserError
from holdfast.files import load_json, save_json


@dataclass(frozen=True)
class Scale:
    """Of one series: mean and standard deviation of each column on its training rows, and MASE's scale of each target.

    Units are those of the columns (log returns where returns are forecast).
    """

    mean: list[float]
    std: list[float]
    mase: list[float]


@dataclass(frozen=True)
class Schema:
    """Columns by role, the step between rows, the season and look-back in steps, and a scale for each series.

    ``gaps`` tells that the training rows had missing values, so that the network is also fed where they were.
    ``digest`` is that of the scaled rows and windows of all three parts: a resumed run has the same.
    """

    targets: tuple[str, ...]
    past: tuple[str, ...]
    known: tuple[str, ...]
    time: str | None
    series: str | None
    frequency: str
    season: int
    lookback: int
    gaps: bool
    scales: dict[str, Scale]
    digest: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """Targets, past and known covariates, in the order of the value array."""
        return self.targets + self.past + self.known

    def scale(self, series: str) -> Scale:
        """The scale of a series; one that training never saw has none and is a UserError."""
        if series not in self.scales:
            known = ", ".join(list(self.scales)[:8])
            raise UserError(
                "A forecaster knows the series it was trained on, since each has its own scale.",
                f"The file has a series {series!r}; known are: {known or 'none'}.",
                "Train again with that series in the training file.",
            )
        return self.scales[series]

    def save(self, path: Path) -> None:
        """Write as JSON."""
        save_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> Schema:
        """Read what :meth:`save` wrote; a missing or damaged file is a UserError."""
        rule = f"A model folder holds {path.name} as training wrote it."
        if not path.exists():
            raise UserError(rule, f"{path} is missing.", "Copy the whole folder, or train again.")
        try:
            return from_dict(cls, load_json(path), str(path))
        except UserError as error:
            raise UserError(
                rule, f"{path} cannot be read: {error.rule} {error.got}", "Copy it again, or train again."
            ) from None
