#!/usr/bin/env bash
# bfloat16 arrays in NumPy (ml_dtypes): mean and sum stop growing, NaN breaks sort and median.
#
# Guess: as with float16, whose mean NumPy takes in float32 and whose NaN go last when sorted: the
# mean of a thousand ones is 1, and the median of an array with a NaN is NaN.
#
# Seen: the mean is 0.256. NumPy widens its accumulator for float16 alone; sums of another 16-bit
# type are chains in that type, and 256 + 1 is 256 in bfloat16. (`@` and np.dot are right.) A NaN is
# less than nothing and more than nothing, so sort leaves numbers on both sides of it out of order,
# and median, which asks whether the last element is NaN, gives a number. Nothing warns.
#
# What to do: .astype("float32") before any statistics.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6 ml_dtypes==0.6.0
"$folder/venv/bin/python" - <<'PYTHON'
import ml_dtypes
import numpy as np

print("numpy", np.__version__, "ml_dtypes", ml_dtypes.__version__)
seen = {}
for name, dtype in (("float16", np.float16), ("bfloat16", ml_dtypes.bfloat16)):
    ones = np.ones(1000, dtype)
    broken = np.array([3, np.nan, 1, 2], dtype)
    last = np.array([1, 2, 3, np.nan], dtype)
    seen[name] = (
        float(ones.mean()),
        float(ones @ ones),
        [float(value) for value in np.sort(broken)],
        float(np.median(last)),
    )
    print(f"{name}: mean of 1000 ones {seen[name][0]}, their product with themselves "
          f"{seen[name][1]}, {broken} sorted {seen[name][2]}, median of {last} {seen[name][3]}")

same = repr(seen) == repr({
    "float16": (1.0, 1000.0, [1.0, 2.0, 3.0, np.nan], np.nan),
    "bfloat16": (0.255859375, 1000.0, [3.0, np.nan, 1.0, 2.0], 2.5),
})
raise SystemExit(0 if same else "this is no longer what is seen")
PYTHON
