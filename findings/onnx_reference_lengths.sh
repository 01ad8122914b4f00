#!/usr/bin/env bash
# ONNX's reference evaluator and `sequence_lens` of LSTM, GRU and RNN.
#
# Guess: the evaluator in the package that defines the format does what the operator says: outputs
# after a row's length are zero, and Y_h is the state after its last step. So does ONNX Runtime.
#
# Seen: the input is accepted and ignored. All steps are computed for every row, and Y_h is the state
# after the padding. Rows of full length agree with ONNX Runtime, so a test on such rows passes.
#
# What to do: take ONNX Runtime as the oracle for padded sequences.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

print("onnx", onnx.__version__, "onnxruntime", onnxruntime.__version__)
STEPS, ROWS, WIDTH, UNITS = 3, 2, 2, 2
rng = np.random.default_rng(0)
feeds = {
    "X": rng.normal(size=(STEPS, ROWS, WIDTH)).astype("float32"),
    "lengths": np.array([1, STEPS], "int32"),
}
same = True
for operator, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1)):
    weights = [
        numpy_helper.from_array(rng.normal(size=(1, gates * UNITS, n)).astype("float32"), name)
        for name, n in (("W", WIDTH), ("R", UNITS))
    ]
    graph = helper.make_graph(
        [helper.make_node(operator, ["X", "W", "R", "", "lengths"], ["Y", "Y_h"], hidden_size=UNITS)],
        "lengths",
        [
            helper.make_tensor_value_info("X", TensorProto.FLOAT, feeds["X"].shape),
            helper.make_tensor_value_info("lengths", TensorProto.INT32, [ROWS]),
        ],
        [
            helper.make_tensor_value_info("Y", TensorProto.FLOAT, [STEPS, 1, ROWS, UNITS]),
            helper.make_tensor_value_info("Y_h", TensorProto.FLOAT, [1, ROWS, UNITS]),
        ],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    y, y_h = ReferenceEvaluator(model).run(None, feeds)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    want, want_h = session.run(None, feeds)
    print(f"{operator}, a row of one step: the evaluator's Y {y[:, 0, 0].round(3).tolist()}, "
          f"Y_h {y_h[0, 0].round(3).tolist()}")
    print(f"{operator}, the same by ONNX Runtime: Y {want[:, 0, 0].round(3).tolist()}, "
          f"Y_h {want_h[0, 0].round(3).tolist()}")
    same &= np.allclose(y[:, 0, 1], want[:, 0, 1], atol=1e-5)  # the row of full length
    same &= not want[1:, 0, 0].any() and bool(y[1:, 0, 0].all())
    same &= np.array_equal(y_h[0, 0], y[-1, 0, 0]) and not np.allclose(y_h, want_h, atol=0.01)
raise SystemExit(0 if same else "this is no longer what is seen")
PYTHON
