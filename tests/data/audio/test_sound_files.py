"""Sound files: every format, rate and number of channels, blocks, and refusals."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.data.audio.sound_files import read_blocks, read_sound, sound_info
from holdfast.errors import UserError
from sounds import cut, tone, write

again = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
SUBTYPES = {"PCM_U8": 2**-7, "PCM_16": 2**-15, "PCM_24": 2**-23, "FLOAT": 1e-7, "DOUBLE": 1e-7, "ULAW": 0.02}


@pytest.mark.parametrize(("subtype", "tolerance"), SUBTYPES.items())
def test_samples_of_a_wav_are_read_back(tmp_path: Path, subtype: str, tolerance: float) -> None:
    samples = tone()
    found, rate = read_sound(write(tmp_path / "a.wav", samples, 16000, subtype))
    assert rate == 16000 and found.dtype == np.float32
    np.testing.assert_allclose(found, samples, atol=tolerance)


def test_flac_is_lossless_and_ogg_and_mp3_are_close(tmp_path: Path) -> None:
    samples = tone(1.0)
    np.testing.assert_allclose(read_sound(write(tmp_path / "a.flac", samples))[0], samples, atol=2**-15)
    for name in ("a.ogg", "a.mp3"):
        found, rate = read_sound(write(tmp_path / name, samples))
        assert rate == 16000 and abs(len(found) - len(samples)) < 1200
        assert np.corrcoef(found[2000:14000], samples[2000:14000])[0, 1] > 0.99


@pytest.mark.parametrize("channels", [2, 5])
def test_channels_are_averaged(tmp_path: Path, channels: int) -> None:
    each = np.stack([tone(0.1, hertz=300.0 + 50 * k) for k in range(channels)], 1)
    found, _ = read_sound(write(tmp_path / "a.wav", each, subtype="FLOAT"))
    np.testing.assert_allclose(found, each.mean(1), atol=1e-7)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000])
def test_any_rate_is_resampled_to_the_requested_one(tmp_path: Path, rate: int) -> None:
    path = write(tmp_path / "a.wav", tone(1.0, rate), rate, "FLOAT")
    found, now = read_sound(path, 16000)
    assert now == 16000 and len(found) == 16000
    times = np.arange(16000) / 16000
    sine = 0.5 * np.sin(2 * np.pi * 440 * times)
    assert np.corrcoef(found[1000:-1000], sine[1000:-1000])[0, 1] > 0.999
    info = sound_info(path)
    assert (info.rate, info.channels, info.frames, info.seconds) == (rate, 1, rate, 1.0)


@given(st.integers(1, 9000), st.floats(0.001, 0.4), st.sampled_from([8000, 11025, 16000]), st.integers(1, 3))
@again
def test_blocks_of_a_file_are_the_file(
    tmp_path: Path, samples: int, seconds: float, rate: int, channels: int
) -> None:
    sound = np.random.default_rng(samples).uniform(-0.5, 0.5, (samples, channels)).astype(np.float32)
    path = write(tmp_path / "a.wav", sound, rate, "FLOAT")
    joined = np.concatenate([np.zeros(0, np.float32), *read_blocks(path, 16000, seconds)])
    whole = sound[:, 0] if channels == 1 else sound.mean(1)
    expected = whole if rate == 16000 else soxr.resample(whole, rate, 16000)
    np.testing.assert_array_equal(joined[: len(expected)].shape, expected.shape)
    np.testing.assert_allclose(joined, expected, atol=1e-6)
    np.testing.assert_allclose(joined, read_sound(path, 16000)[0], atol=1e-6)


class Trickle(io.RawIOBase):
    """A pipe that gives a few bytes at a time, an odd number too."""

    def __init__(self, data: bytes) -> None:
        self.data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self.data.read(min(size, 7))


@given(st.integers(0, 3000), st.floats(0.001, 0.1))
def test_blocks_of_raw_samples_are_the_samples(samples: int, seconds: float) -> None:
    given = np.random.default_rng(samples).integers(-32768, 32768, samples, dtype=np.int64).astype("<i2")
    for stream in (io.BytesIO(given.tobytes()), Trickle(given.tobytes())):
        blocks = list(read_blocks(stream, 8000, seconds))  # type: ignore[arg-type]
        size = max(1, round(8000 * seconds))
        assert all(len(block) == size for block in blocks[:-1])
        joined = np.concatenate([np.zeros(0, np.float32), *blocks])
        np.testing.assert_array_equal(joined, given / np.float32(32768))


def test_raw_samples_of_another_rate_are_resampled() -> None:
    whole = (tone(1.0, 8000) * 30000).astype("<i2")
    joined = np.concatenate(list(read_blocks(io.BytesIO(whole.tobytes()), 16000, 0.03, pcm_rate=8000)))
    expected = soxr.resample(whole.astype(np.float32) / 32768, 8000, 16000)
    np.testing.assert_allclose(joined, expected, atol=1e-6)


def test_ten_minutes_are_read_in_constant_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", 8000, 1) as file:
        for _ in range(600):
            file.write(tone(1.0, 8000))
    read = sum(len(block) for block in read_blocks(path, 16000, 0.1))  # also warms up
    tracemalloc.start()
    read = sum(len(block) for block in read_blocks(path, 16000, 0.1))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert read == 600 * 16000 and most < 1_000_000


def test_a_wav_from_a_pipe_without_a_length_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", tone())
    data = bytearray(path.read_bytes())
    place = data.index(b"data") + 4
    data[4:8] = data[place : place + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    assert len(read_sound(path)[0]) == 8000


NAN = tone()
NAN[77] = np.nan


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("missing.wav", lambda path: None, "There is no .*missing.wav"),
        ("folder.wav", lambda path: path.mkdir(), "is a folder"),
        ("nothing.wav", lambda path: path.write_bytes(b""), r"is empty \(0 bytes\)"),
        ("zero.wav", lambda path: write(path, tone(0.0)), "zero.wav has none"),
        ("text.wav", lambda path: path.write_text("some text\n" * 99), "Format not recognised"),
        ("samples.raw", lambda path: path.write_bytes(b"\1\2" * 99), "samplerate must be specified"),
        ("noise.mp3", lambda path: path.write_bytes(bytes(range(256)) * 9), "cannot be read"),
        ("cut.wav", lambda path: cut(write(path, tone()), 0.5), r"header declares 16,000 bytes .* has 7,978"),
        ("cut.mp3", lambda path: cut(write(path, tone(2.0)), 0.5), "samples, but .* could be read"),
        ("cut.flac", lambda path: cut(write(path, tone()), 0.5), "cut.flac is not: flac decoder lost sync"),
        ("cut.ogg", lambda path: cut(write(path, tone()), 0.5), "malformed"),
        ("nan.wav", lambda path: write(path, NAN, subtype="FLOAT"), "nan.wav has nan at sample 77"),
        ("inf.wav", lambda path: write(path, NAN * 0 + np.inf, subtype="FLOAT"), "inf.wav has inf|has nan"),
    ],
)
def test_damaged_audio_is_refused(tmp_path: Path, name: str, make: object, message: str) -> None:
    make(tmp_path / name)  # type: ignore[operator]
    for read in (read_sound, lambda path: list(read_blocks(path, 16000))):
        with pytest.raises(UserError, match=message) as refused:
            read(tmp_path / name)
        assert name in str(refused.value)


def test_damaged_audio_has_no_information_either(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("text")
    with pytest.raises(UserError, match="cannot be read"):
        sound_info(tmp_path / "a.wav")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\1\2\3", "ended within a sample"),
        (b"RIFF....WAVEfmt ", "Name the file instead"),
        (b"OggS" + bytes(99), "begins like a sound file"),
    ],
)
def test_a_stream_without_audio_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        list(read_blocks(io.BytesIO(data), 8000))


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan"), float("inf")])
def test_a_block_must_last_some_time(seconds: float) -> None:
    with pytest.raises(UserError, match="more than 0 seconds"):
        read_blocks(io.BytesIO(b""), 8000, seconds)
