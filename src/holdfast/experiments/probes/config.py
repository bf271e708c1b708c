"""Settings of the probes: the flags, and the schema of recipes and ``config.toml``."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import ClassVar, Literal

from holdfast.config import Training
from holdfast.errors import UserError
from holdfast.validation import check_at_least, check_fraction, flag_name, invalid_setting

CELLS: dict[str, tuple[str, bool]] = {
    "rnn": ("rnn", False),
    "gru": ("gru", False),
    "lstm": ("lstm", False),
    "gru-chrono": ("gru", True),
    "lstm-chrono": ("lstm", True),
}
"""Name -> the layer, and whether :class:`holdfast.nn.init.chrono` initializes its gates."""


@dataclass(kw_only=True)
class ProbeConfig:
    """Settings of the runs, which train each cell with Adam until it solves the probe.

    Attributes:
        cells: rnn, gru, lstm, gru-chrono or lstm-chrono; with -chrono the gates are initialized to
            remember for up to the length of the sequence.
        seeds: runs of each cell.
        seed: seed of the first run; the next runs have the seeds after it.
        hidden_size: hidden units of the layer.
        input_scale: factor on the inputs; larger values weigh the input more against the state.
        batch_size: sequences in a batch.
        learning_rate: initial learning rate of Adam.
        schedule: constant learning rate, or a cosine that falls to 0 over --steps.
        clip: largest gradient norm; 0 for no clipping.
        steps: most optimizer steps of each run.
        every: optimizer steps between validations; a run stops at the first that meets the
            criterion.
        criterion: what a validation must reach: the largest error of adding, the least accuracy of
            the others.
        budget: time limit of each run, such as 90s, 10m or 1h.
        device: auto (a GPU if there is one), cpu, cuda, cuda:1 or mps.

    Raises:
        UserError: a value is out of range.
    """

    rule: ClassVar[str] = ""
    """The criterion in words."""

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
        if not self.cells or len({*self.cells}) < len(self.cells) or not {*self.cells} <= {*CELLS}:
            rule = f"Cells must be names from {', '.join(CELLS)}, each once."
            got = f"Given: {', '.join(self.cells) or 'none'}."
            raise UserError(rule, got, "Give --cells gru,lstm-chrono.")
        for name, example in (("seeds", 3), ("hidden_size", 64), ("every", 100)):
            check_at_least(name, getattr(self, name), 1, example)
        if not 0 < self.input_scale < inf:
            raise invalid_setting("input_scale", "a finite number above 0", self.input_scale, 1)
        if self.steps < self.every:
            rule = f"--steps must be at least {self.every}, the steps between two validations (--every)."
            fix = f"Give for example --steps {10 * self.every}, or --every {max(1, self.steps // 3)}."
            raise UserError(rule, f"It was {self.steps}.", fix)
        if not 0 < self.criterion < 1:
            raise invalid_setting("criterion", "between 0 and 1", self.criterion, 0.9)
        self.training(self.seed)

    def training(self, seed: int) -> Training:
        """Return the training settings of one run, with one epoch between two validations."""
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
class _SequenceConfig(ProbeConfig):
    """Settings of a probe on sequences of a given length."""

    shortest: ClassVar[int]
    """The least length."""
    length: int = 0

    def __post_init__(self) -> None:
        check_at_least("length", self.length, self.shortest, type(self).length)
        super().__post_init__()


@dataclass(kw_only=True)
class AddingConfig(_SequenceConfig):
    """The adding problem: output the sum of two marked numbers at the end of the sequence.

    Attributes:
        length: time steps of a sequence.
    """

    rule: ClassVar[str] = "a mean squared error of at most {:g}"
    shortest: ClassVar[int] = 4
    length: int = 600
    steps: int = 6000
    criterion: float = 0.001


@dataclass(kw_only=True)
class CopyConfig(_SequenceConfig):
    """The copy task: repeat ten symbols after a delay.

    Attributes:
        length: time steps of the delay; a sequence has 20 more.
        curriculum: share of --steps during which the training delay grows, from a twentieth of
            --length to --length; 0 for the full delay from the start. Validation and test always
            have the full delay.
    """

    rule: ClassVar[str] = "{:.0%} of the last ten symbols correct"
    shortest: ClassVar[int] = 3
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
        check_fraction("curriculum", self.curriculum, 0.6)
        super().__post_init__()


@dataclass(kw_only=True)
class OrderConfig(_SequenceConfig):
    """Temporal order: output at the end of the sequence in which order two symbols came.

    Attributes:
        length: time steps of a sequence.
    """

    rule: ClassVar[str] = "{:.0%} of the sequences correct"
    shortest: ClassVar[int] = 20
    length: int = 100
    input_scale: float = 5.0
    batch_size: int = 16
    clip: float = 0.25


@dataclass(kw_only=True)
class ImagesConfig(ProbeConfig):
    """Images read pixel by pixel: output the class after the last pixel.

    Attributes:
        images: IDX file of images (also .gz); digits for scikit-learn's 8 x 8 digits; drawn for
            synthetic 12 x 12 digits.
        labels: IDX file of the labels.
        test_images: IDX file of the test images; if not given, some of the images are the test
            split.
        test_labels: IDX file of the test labels.
        permuted: read the pixels in a random order, the same for all images.
    """

    rule: ClassVar[str] = "{:.0%} of the images correct"
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
            rule, got = "--test-images must come with images from a file.", f"--images was {self.images}."
            raise UserError(rule, got, "Give --images FILE, or omit --test-images.")

    def _check_pair(self, name: str, labels: object, needed: bool, images: str) -> None:
        if (labels is not None) != needed:
            flag = flag_name(name)
            got = f"{flag} was {'not given' if needed else labels}."
            fix = f"Give {flag} FILE." if needed else f"Omit it, or give {images}."
            raise UserError(f"{images} and {flag} FILE must come together.", got, fix)


_BUILT_IN = ("drawn", "digits")
"""Images that are not from a file."""

PROBES: dict[str, type[ProbeConfig]] = {
    "adding": AddingConfig,
    "copy": CopyConfig,
    "order": OrderConfig,
    "images": ImagesConfig,
}
"""Name of a probe -> its settings."""
