"""A notebook that is really executed: what it stores. tests/test_progress.py has the same without
a kernel."""

import pytest

nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
pytest.importorskip("ipykernel", reason="ipykernel is not installed")

CELLS = (
    """
import numpy as np
import lamina as la
x, y = np.random.default_rng(0).random((4096, 64)), np.zeros(4096)
model = la.Sequential([la.Input((64,)), la.layers.Dense(256), la.layers.Dense(1)])
model.compile("sgd", "mse")
la.progress._NOTEBOOK_EVERY = 0.01
""",
    "history = model.fit(x, y, epochs=20, validation_data=(x, y))",
    "history",
    "model",
    "model.summary()",
    "model.weights[0]",
)


@pytest.mark.filterwarnings("default")  # of the kernel's own libraries
def test_a_training_run_is_one_output_and_things_show_themselves():
    from nbformat.v4 import new_code_cell, new_notebook

    notebook = new_notebook(cells=[new_code_cell(source) for source in CELLS])
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    _, fit, history, model, summary, weight = (cell.outputs for cell in notebook.cells)
    assert [len(cell.outputs) for cell in notebook.cells] == [0, 1, 1, 1, 1, 1]
    assert fit[0].data["text/plain"].count("\n") == 40
    assert "<td>20</td>" in history[0].data["text/html"]
    assert model[0].data["text/html"] == summary[0].data["text/html"]
    assert "dense/kernel" in weight[0].data["text/html"]
