#!/usr/bin/env bash
# soundfile.write of 16-bit samples that are held as int32: a file of silence.
#
# Guess: samples of a recording that were read as int16 and became int32 on the way (a sum of two
# channels, a cumulative sum, np.array of Python ints cast to int32) are written as these numbers, or
# refused where they do not fit.
#
# Seen: int32 is taken as a 32-bit scale, and the default format of a .wav is 16 bits: every sample
# is shifted right by 16. 30000, loud as int16, is written as 0, and -1 as -1, so a recording becomes
# silence with a click of one unit where it was negative. Reading it back as int32 does not bring it
# back. scipy.io.wavfile.write makes a 32-bit file of the same array.
#
# What to do: .astype("int16"), or subtype="PCM_32" where 32 bits are meant.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6 soundfile==0.14.0 scipy==1.17.1
cd "$folder"
venv/bin/python - <<'PYTHON'
import numpy as np
import scipy
import soundfile
from scipy.io import wavfile

print("numpy", np.__version__, "soundfile", soundfile.__version__, "scipy", scipy.__version__)
print(soundfile.__libsndfile_version__)
samples = np.array([0, 1000, -1000, 30000], "int32")
soundfile.write("a.wav", samples, 8000)
soundfile.write("b.wav", samples.astype("int16"), 8000)
wavfile.write("c.wav", 8000, samples)
written = wavfile.read("a.wav")[1]
narrow = wavfile.read("b.wav")[1]
wide = wavfile.read("c.wav")[1]
print("int32 by soundfile:", written.dtype, written.tolist())
print("int16 by soundfile:", narrow.dtype, narrow.tolist())
print("int32 by scipy:", wide.dtype, wide.tolist())
same = (written.dtype, written.tolist()) == ("int16", [0, 0, -1, 0])
same &= narrow.tolist() == wide.tolist() == samples.tolist()
raise SystemExit(0 if same else "this is no longer what is seen")
PYTHON
