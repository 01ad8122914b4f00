#!/usr/bin/env bash
# safetensors.numpy.save of an array that is not in C order: another array is in the file.
#
# Guess: the array that is saved is the one that is loaded, as with np.save, or the writer refuses
# it, as safetensors.torch does ("You are trying to save a non contiguous tensor").
#
# Seen: for a transposed, strided or Fortran-ordered array the writer puts down the memory in its own
# order under the array's shape. The file is valid, of the right shape and type, and its numbers are
# others or permuted. A kernel that was transposed for another library's layout is the usual victim.
#
# What to do: np.ascontiguousarray before saving.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6 safetensors==0.8.0
"$folder/venv/bin/python" - <<'PYTHON'
import io

import numpy as np
import safetensors
from safetensors.numpy import load, save

print("numpy", np.__version__, "safetensors", safetensors.__version__)
a = np.arange(6, dtype="float32").reshape(2, 3)
same = True
for name, array in (
    ("C order", a),
    ("transposed", a.T),
    ("Fortran order", np.asfortranarray(a)),
    ("every second column", a[:, ::2]),
):
    loaded = load(save({"a": array}))["a"]
    file = io.BytesIO()
    np.save(file, array)
    file.seek(0)
    assert np.array_equal(np.load(file), array)  # NumPy's own format keeps it
    print(f"{name}: saved {array.tolist()}, loaded {loaded.tolist()}")
    same &= loaded.shape == array.shape
    same &= np.array_equal(loaded, array) == (name == "C order")
raise SystemExit(0 if same else "this is no longer what is seen")
PYTHON
