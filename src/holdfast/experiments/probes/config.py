"""Every setting of a probe: the flags and the schema of recipes and ``config.toml``; the defaults solve it."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any, ClassVar, Literal

from holdfast.config import Training
from holdfast.errors import UserError
from holdfast.validation import check_at_least, check_fraction, invalid_setting

CELLS: dict[str, tuple[str, bool]] = {
    "rnn": ("rnn", False),
    "gru": ("gru", False),
    "lstm": ("lstm", False),
    "gru-chrono": ("gru", True),
    "lstm-chrono": ("lstm", True),
}
"""Name -> the layer, and whether its gates begin by :class:`holdfast.nn.init.chrono`."""

MAY_GROW = ("cells", "seeds")
"""Settings that may differ when a probe is resumed: which runs there are."""


@dataclass(kw_only=True)
class ProbeConfig:
    """The runs: a recurrent layer of each cell, trained by Adam with clipped gradients until it has solved the probe.

    Attributes:
        cells: rnn, gru, lstm, and gru-chrono and lstm-chrono: with gates that begin open for as long as the sequence.
        seeds: runs of each cell.
        seed: seed of the first run; the next ones have the numbers after it.
        hidden_size: units of the layer.
        input_scale: what inputs are multiplied by; more makes what is read count more beside what is remembered.
        batch_size: sequences in a batch.
        learning_rate: step size of Adam at the start.
        schedule: the learning rate stays constant, or falls to 0 along a cosine over --steps.
        clip: largest norm of the gradient; 0 for no clipping.
        steps: most steps of training, in each run.
        every: steps between two validations; a run stops at the first that meets the criterion.
        criterion: what the validation must reach: the largest error of adding, the least accuracy of the others.
        budget: most time for each run, such as 90s, 10m or 1h.
        device: auto (a GPU where there is one), cpu, cuda, cuda:1 or mps.

    Raises:
        UserError: a value out of range, naming the field.
    """

    rule: ClassVar[str] = ""
    """What the criterion is in words."""

    cells: tuple[str, ...] = ("rnn", "gru", "lstm", "lstm-chrono")
    seeds: int = 1
    seed: int = 0
    hidden_size: int = 64
    input_scale: float = 1.0
    batch_size: int = 32
    learning_rate: float = 3e-3
    schedule: Literal["constant", "cosine"] = "constant"
    clip: float = 1.0
    steps: int = 4000
    every: int = 100
    criterion: float = 0.99
    budget: str | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        self._check_cells()
        for name, example in (("seeds", 3), ("hidden_size", 64), ("every", 100)):
            check_at_least(name, getattr(self, name), 1, example)
        if not 0 < self.input_scale < inf:
            raise invalid_setting("input_scale", "a finite number above 0", self.input_scale, 1)
        if self.steps < self.every:
            rule = f"--steps is at least {self.every}: --every, the steps between two validations."
            fix = f"Give for example --steps {10 * self.every}, or --every {max(1, self.steps // 3)}."
            raise UserError(rule, f"It was {self.steps}.", fix)
        if not 0 < self.criterion < 1:
            raise invalid_setting("criterion", "between 0 and 1", self.criterion, 0.9)
        self.training(self.seed)

    def _check_cells(self) -> None:
        wrong = [name for name in self.cells if name not in CELLS]
        if wrong or not self.cells or len({*self.cells}) < len(self.cells):
            got = f"Given: {', '.join(self.cells) or 'none'}."
            raise UserError(
                f"Cells are: {', '.join(CELLS)}, each once.", got, "Give --cells gru,lstm-chrono."
            )

    def training(self, seed: int) -> Training:
        """The settings of one run: an epoch is what lies between two validations."""
        epochs = self.steps // self.every
        return Training(
            epochs=epochs,
            patience=epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            schedule=self.schedule,
            clip=self.clip,
            seed=seed,
            budget=self.budget,
            device=self.device,
        )


@dataclass(kw_only=True)
class AddingConfig(ProbeConfig):
    """The adding problem: the sum of the two marked numbers of a sequence, said at its end.

    Attributes:
        length: steps of a sequence.
    """

    rule: ClassVar[str] = "a mean squared error of at most {:g}"
    length: int = 600
    steps: int = 6000
    criterion: float = 0.001

    def __post_init__(self) -> None:
        check_at_least("length", self.length, 4, 600)
        super().__post_init__()


@dataclass(kw_only=True)
class CopyConfig(ProbeConfig):
    """The copy task: ten symbols, said again after a delay.

    Attributes:
        length: steps of the delay; a sequence has 20 more.
        curriculum: share of --steps in which the delay of the training grows, from a twentieth of --length to all of
            it; 0 for the whole delay from the first batch on. Validation and test always have the whole one.
    """

    rule: ClassVar[str] = "{:.0%} of the last ten symbols right"
    length: int = 500
    hidden_size: int = 128
    input_scale: float = 20.0
    batch_size: int = 8
    learning_rate: float = 4e-3
    schedule: Literal["constant", "cosine"] = "cosine"
    clip: float = 0.25
    steps: int = 30000
    every: int = 400
    curriculum: float = 0.6

    def __post_init__(self) -> None:
        check_at_least("length", self.length, 3, 500)
        check_fraction("curriculum", self.curriculum, 0.6)
        super().__post_init__()


@dataclass(kw_only=True)
class OrderConfig(ProbeConfig):
    """Temporal order: which of two symbols came first and which second, said at the end of the sequence.

    Attributes:
        length: steps of a sequence.
    """

    rule: ClassVar[str] = "{:.0%} of the sequences right"
    length: int = 100
    input_scale: float = 5.0
    batch_size: int = 16
    clip: float = 0.25

    def __post_init__(self) -> None:
        check_at_least("length", self.length, 20, 100)
        super().__post_init__()


@dataclass(kw_only=True)
class ImagesConfig(ProbeConfig):
    """Images read pixel by pixel: what an image shows, said after its last pixel.

    Attributes:
        images: IDX file of images (also .gz); digits for the 8 x 8 digits of scikit-learn; drawn for digits drawn
            here, 12 x 12.
        labels: IDX file of their labels.
        test_images: IDX file of the images of the test set; a part of the images when not given.
        test_labels: IDX file of their labels.
        permuted: read the pixels in an order by chance, the same for all images.
    """

    rule: ClassVar[str] = "{:.0%} of the images right"
    images: str = "drawn"
    labels: str | None = None
    test_images: str | None = None
    test_labels: str | None = None
    permuted: bool = False
    criterion: float = 0.95

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_pair("labels", self.labels, self.images not in _BUILT_IN, "--images FILE")
        self._check_pair("test_labels", self.test_labels, self.test_images is not None, "--test-images FILE")
        if self.test_images is not None and self.images in _BUILT_IN:
            rule = "A test set belongs to images from a file."
            raise UserError(rule, f"--images was {self.images}.", "Give --images FILE, or no --test-images.")

    def _check_pair(self, name: str, labels: Any, needed: bool, images: str) -> None:
        if (labels is not None) != needed:
            flag = "--" + name.replace("_", "-")
            got = f"{flag} was {'not given' if needed else labels}."
            fix = f"Give {flag} FILE." if needed else f"Leave it out, or give {images}."
            raise UserError(f"{images} and {flag} FILE go together.", got, fix)


_BUILT_IN = ("drawn", "digits")
"""Names of images that are no file."""

PROBES: dict[str, type[ProbeConfig]] = {
    "adding": AddingConfig,
    "copy": CopyConfig,
    "order": OrderConfig,
    "images": ImagesConfig,
}
"""The probes, by name."""
