"""Write wav files that examples/spoken_digits.py can be tried on: digits as a telephone dials them.

    python tools/spoken_tones.py FOLDER

500 files {digit}_{speaker}_{index}.wav, named as the recordings of the Free Spoken Digit Dataset:
two tones each, of random length, loudness and noise. No substitute for speech; the same every time.
"""

import sys
import wave
from pathlib import Path

import numpy as np

RATE = 8000
LOW, HIGH = (697, 770, 852, 941), (1209, 1336, 1477)  # rows and columns of the keys, in Hz
KEYS = ["123", "456", "789", "*0#"]


def tones(digit, rng):
    (row, column) = next((r, line.index(digit)) for r, line in enumerate(KEYS) if digit in line)
    t = np.arange(rng.integers(RATE // 5, RATE // 2)) / RATE
    sound = np.sin(2 * np.pi * LOW[row] * t) + np.sin(2 * np.pi * HIGH[column] * t)
    return rng.uniform(0.1, 0.4) * sound + 0.01 * rng.normal(size=len(t))


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for digit in "0123456789":
        for speaker in ("ann", "bob"):
            for index in range(25):
                with wave.open(str(folder / f"{digit}_{speaker}_{index}.wav"), "wb") as file:
                    file.setparams((1, 2, RATE, 0, "NONE", ""))
                    samples = np.clip(tones(digit, rng) * 32767, -32768, 32767)
                    file.writeframes(samples.astype("<i2").tobytes())


if __name__ == "__main__":
    main()
