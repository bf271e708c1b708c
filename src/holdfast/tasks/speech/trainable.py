"""The network of a speech recognizer, and its training by CTC on augmented utterances."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from holdfast._typing import Array
from holdfast.data.audio.augmentation import Masks, Noise, apply_masks
from holdfast.data.audio.manifest import Utterance
from holdfast.data.audio.validation import min_ctc_frames
from holdfast.data.batching import TokenBatches
from holdfast.data.prefetch import prefetch
from holdfast.decoding.ctc import GreedyCTC, decode
from holdfast.errors import UserError
from holdfast.models.speech import SpeechNetwork, ctc_nll, has_ctc_path
from holdfast.tasks.speech.config import AugmentConfig, SpeechConfig
from holdfast.tasks.speech.frontend import Frontend
from holdfast.tasks.speech.metrics import edits
from holdfast.tasks.speech.preprocessing import SpeechDataset

Batch = tuple[Tensor, Tensor, Tensor, Tensor]
"""Frames [T, B, F], their number [B], tokens [B, U], their number [B]."""

_TIE = 0.01
"""Weight of the loss next to the error rate; it decides between epochs with equal rates."""
_SCORED_AT_ONCE = 40_000
"""Frames in a batch without training."""


def build(config: SpeechConfig, features: int, tokens: int) -> SpeechNetwork:
    """Build the untrained network."""
    return SpeechNetwork(features, tokens, config.network)


def padded(frames: Sequence[Array], tokens: Sequence[Sequence[int]]) -> Batch:
    """Batch utterances, padded with zeros."""
    own = [torch.from_numpy(np.ascontiguousarray(each)) for each in frames]
    targets = [torch.tensor(list(each), dtype=torch.long) for each in tokens]
    return (
        torch.nn.utils.rnn.pad_sequence(own),
        torch.tensor([len(each) for each in own]),
        torch.nn.utils.rnn.pad_sequence(targets, batch_first=True),
        torch.tensor([len(each) for each in targets]),
    )


@dataclass(frozen=True)
class Augmenter:
    """Changes utterances at random; ``frontend`` has the statistics of the training speakers."""

    frontend: Frontend
    speeds: tuple[float, ...]
    noise: Noise | None
    masks: Masks

    @classmethod
    def of(cls, settings: AugmentConfig, frontend: Frontend) -> Self:
        """Build it from the settings.

        Raises:
            UserError: speeds or noise are set for precomputed features, or the noise folder has no
                sounds.
        """
        if frontend.rate is None and (settings.speeds != (1.0,) or settings.noise is not None):
            raise UserError(
                "--speeds and --noise must be used with sounds.",
                "The manifest names precomputed features.",
                "Leave out --speeds and --noise; use masks, which work on features too.",
            )
        noise = None
        if settings.noise is not None:
            folder = None if settings.noise_folder is None else Path(settings.noise_folder)
            noise = Noise.of(settings.noise, folder, frontend.rate or 0)
        masks = Masks(settings.time_masks, settings.time_width, settings.band_masks, settings.band_width)
        return cls(frontend, settings.speeds, noise, masks)

    def __call__(self, one: Utterance, frames: Array, seed: tuple[int, ...]) -> Array:
        """Return an utterance's frames in one epoch; ``frames`` are its unchanged ones."""
        generator = np.random.default_rng(seed)
        speed = float(generator.choice(self.speeds))
        if speed != 1 or self.noise is not None:
            change = None if self.noise is None else partial(self.noise, generator=generator)
            frames = self.frontend.normalized(one, self.frontend.features.get(one, speed, change))
        return apply_masks(frames, generator, self.masks) if self.masks.times or self.masks.bands else frames


class UtteranceTraining:
    """Batches of utterances of similar length, augmented anew in each epoch, and their loss.

    The batches of an epoch depend only on the seed and the epoch.
    """

    def __init__(self, module: SpeechNetwork, config: SpeechConfig, dataset: SpeechDataset) -> None:
        settings = config.training
        self.module, self.seed = module, settings.seed
        self.train, self.valid = dataset.train, dataset.valid
        self.augmenter = Augmenter.of(config.augment, self.train.frontend)
        self.monitor = f"valid_{settings.select_by}"
        lengths = [len(frames) for frames in self.train.frames]
        self.order = TokenBatches(lengths, settings.frames, settings.batch_size, settings.seed)
        self.steps_per_epoch = len(self.order)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Yield every training utterance once; threads prepare the batches."""
        return prefetch(partial(self._batch, epoch), self.order.of(epoch))

    def _batch(self, epoch: int, chosen: Array) -> Batch:
        numbers, train = chosen.tolist(), self.train
        frames = [
            self.augmenter(train.utterances[i], train.frames[i], (self.seed, epoch, i)) for i in numbers
        ]
        return padded(frames, [train.tokens[i] for i in numbers])

    def loss(self, batch: Batch) -> Tensor:
        """Return the CTC loss in nats per token."""
        frames, lengths, tokens, sizes = batch
        scores, left = self.module(frames, lengths)
        there = has_ctc_path(left, tokens, sizes)  # a faster one may be too short for its text
        nothing: Tensor = 0.0 * scores.sum()
        if not there.any():
            return nothing
        nats = ctc_nll(scores[:, there], left[there], tokens[there], sizes[there])
        mean: Tensor = nats.sum() / sizes[there].sum().clamp(min=1)
        return mean

    def validate(self) -> dict[str, float]:
        """Return the validation loss in nats per token, and the share of wrong tokens."""
        found = log_probabilities(self.module, self.valid.frames)
        errors = sum(edits(decode(GreedyCTC(), own), tokens) for own, tokens in zip(found, self.valid.tokens))
        count = max(1, sum(map(len, self.valid.tokens)))
        loss, error = mean_nats(found, self.valid.tokens), errors / count
        return {"valid_loss": loss, "valid_error": error, "valid_joint": error + _TIE * loss}


def mean_nats(found: Sequence[Array], tokens: Sequence[Sequence[int]]) -> float:
    """Return the CTC loss in nats per token of utterances with enough frames, or NaN."""
    total, count = 0.0, 0
    for own, wanted in zip(found, tokens):
        if min_ctc_frames(wanted) > len(own):
            continue
        scores, targets = torch.from_numpy(own)[:, None], torch.tensor([list(wanted)], dtype=torch.long)
        total += float(ctc_nll(scores, torch.tensor([len(own)]), targets, torch.tensor([len(wanted)])))
        count += len(wanted)
    return total / count if count else float("nan")


@torch.no_grad()
def log_probabilities(module: SpeechNetwork, frames: Sequence[Array]) -> list[Array]:
    """Return ``log p`` [S, V] of every utterance, in evaluation mode."""
    training = module.training
    module.eval()
    device = module.output.weight.device
    found: list[Array] = [np.zeros((0, module.output.out_features), np.float32)] * len(frames)
    there = [i for i, own in enumerate(frames) if len(own)]
    for chosen in TokenBatches([len(frames[i]) for i in there], _SCORED_AT_ONCE).of(epoch=0):
        numbers = [there[k] for k in chosen.tolist()]
        x, lengths, _, _ = padded([frames[i] for i in numbers], [()] * len(numbers))
        scores, left = module(x.to(device), lengths.to(device))
        for row, i in enumerate(numbers):
            found[i] = scores[: int(left[row]), row].float().cpu().numpy()
    module.train(training)
    return found
