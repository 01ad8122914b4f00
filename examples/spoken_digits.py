"""Recognise spoken digits: wav files, log-mel spectrograms in NumPy, and a small CNN.

git clone https://github.com/Jakobovski/free-spoken-digit-dataset
python examples/spoken_digits.py free-spoken-digit-dataset/recordings [--without SPEAKER]

The Free Spoken Digit Dataset (Zohar Jackson and others, CC BY-SA 4.0): 3,000 recordings of six
speakers, named {digit}_{speaker}_{index}.wav, 8 kHz. Those of index 0 to 4 are the test set; with
--without, all of one speaker's, whom the model then has never heard.
"""

import argparse
import hashlib
import wave
from pathlib import Path

import numpy as np

import lamina as la

# SHA-256 of all recordings in the order of their names, those of docs/examples.md (commit 26eb9aa).
KNOWN = "ddb17656a0bca4c5ddace082be188ca630516dc2ef1110afe3c4e9cc71173de4"
RATE, WINDOW, HOP, FRAMES, BANDS = 8000, 256, 128, 64, 40


def mel_filters():
    """(WINDOW / 2 + 1, BANDS): triangles, evenly spaced in mel, from 60 Hz to 4 kHz."""
    mel = np.linspace(*(2595 * np.log10(1 + np.array([60, RATE / 2]) / 700)), BANDS + 2)
    low, middle, high = (700 * (10 ** (mel[i : BANDS + i] / 2595) - 1) for i in range(3))
    f = np.fft.rfftfreq(WINDOW, 1 / RATE)[:, None]
    return np.maximum(0, np.minimum((f - low) / (middle - low), (high - f) / (high - middle)))


def spectrogram(path):
    """(FRAMES, BANDS, 1), 0 to 1 for 40 dB below the loudest; a second, cut or padded."""
    with wave.open(str(path)) as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (RATE, 1, 2):
            raise SystemExit(f"{path}: expected 8 kHz, one channel, 16 bits")
        sound = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
    rest = max(0, HOP * FRAMES - len(sound))
    sound = np.pad(sound[: HOP * FRAMES], (rest // 2, rest - rest // 2 + WINDOW))
    frames = np.lib.stride_tricks.sliding_window_view(sound, WINDOW)[::HOP][:FRAMES]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW))) ** 2 @ mel_filters()
    return (1 + np.log10(power / (power.max() + 1e-9) + 1e-4) / 4).astype("float32")[..., None]


def moved(x, rng):
    """Each row moved by up to 6 frames and 2 bands: another start, another voice."""
    by = zip(rng.integers(-6, 7, len(x)), rng.integers(-2, 3, len(x)), strict=True)
    return np.stack([np.roll(row, shift, (0, 1)) for row, shift in zip(x, by, strict=True)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--without", metavar="SPEAKER", help="test on this speaker alone")
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    la.utils.set_random_seed(0)
    files = sorted(options.folder.glob("*_*_*.wav"))
    found = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    print(len(files), "recordings" if found == KNOWN else "recordings, not those of the figures")
    x = np.stack([spectrogram(file) for file in files])
    digits, speakers, indices = np.array([file.stem.split("_") for file in files]).T
    y = digits.astype("int32")
    test = speakers == options.without if options.without else indices.astype(int) < 5

    layers = [la.layers.Input(x.shape[1:])]
    for filters in (16, 32, 64):
        layers.append(la.layers.Conv2D(filters, 3, padding="same", use_bias=False))
        layers.append(la.layers.BatchNormalization(momentum=0.9))
        layers += [la.layers.ReLU(), la.layers.MaxPooling2D(2)]
    layers += [la.layers.Flatten(), la.layers.Dropout(0.3)]
    model = la.Sequential([*layers, la.layers.Dense(10, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    rng = np.random.default_rng(0)
    for epoch in range(options.epochs):
        model.optimizer.learning_rate = 2e-3 * 0.85**epoch
        model.fit(moved(x[~test], rng), y[~test], initial_epoch=epoch, epochs=epoch + 1, verbose=2)
    print("test accuracy", model.evaluate(x[test], y[test], verbose=0)[1])
