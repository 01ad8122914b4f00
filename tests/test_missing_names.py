"""Names that are not known: the error says which one is meant, or what of Keras it is."""

import importlib
import importlib.util
import os
import pickle
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import lamina as la
from lamina import _missing

ROOT = Path(__file__).parent.parent
MODULES = [*_missing.MISSING, "kernels", "reference"]


def module_of(name: str):
    return importlib.import_module(f"lamina.{name}" if name else "lamina")


def message(error, code: str) -> str:
    """Of the exception that the code, which knows la, raises."""
    with pytest.raises(error) as caught:
        exec(code, {"la": la, "np": np})
    assert type(caught.value) is error
    return str(caught.value)


TABLE = [
    (module, name, row)
    for module, rows in _missing.MISSING.items()
    for row in rows
    for name in row.names.split()
]


def test_the_table_is_of_some_size():
    assert len(TABLE) > 400


STATUS = {
    _missing.HERE: "is here as: ",
    _missing.PLANNED: "is planned, and not here yet; instead: ",
    _missing.NOT_PLANNED: "is not planned; instead: ",
}


@pytest.mark.parametrize("module", list(_missing.MISSING))
def test_every_missing_name_answers(module):
    path = f"la.{module}" if module else "la"
    names = [(name, row) for where, name, row in TABLE if where == module]
    assert len({name for name, _ in names}) == len(names)
    for name, row in names:
        assert not hasattr(module_of(module), name)
        instead = row.instead.format(name=name)
        for said in (
            message(AttributeError, f"{path}.{name}"),
            message(ImportError, f"from {path.replace('la', 'lamina', 1)} import {name}"),
        ):
            assert said.startswith(f"module {path.replace('la', 'lamina', 1)!r} has no attribute")
            assert f"Keras's {name}, {row.what}, is " in said
            assert STATUS[row.status] in said
            assert said.endswith(f": {instead}")


def test_advice_names_only_what_is_there():
    """A row that says what is here under another name must not be wrong about it."""
    for _, name, row in TABLE:
        instead = row.instead.format(name=name)
        if instead.startswith("lamina."):
            value = la
            for part in instead.split()[0].rstrip(",").split(".")[1:]:
                value = getattr(value, part)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import lamina.regularizers", "Keras's regularizers, penalties on weights, is planned"),
        ("from lamina.regularizers import l2", "Keras's regularizers, penalties on weights"),
        ("import lamina.applications.vgg16", "Keras's applications, models with weights"),
        (
            "from lamina.optimizers.schedules import CosineDecay",
            "Keras's schedules, learning",
        ),
        ("from lamina.datasets.cifar10 import load_data", "Keras's cifar10, a data set"),
    ],
)
def test_modules_of_keras_answer_to_import(code, said):
    assert said in message(ModuleNotFoundError, code)


def test_other_modules_are_looked_for_as_ever():
    assert importlib.util.find_spec("lamina.no_such_module") is None
    assert importlib.util.find_spec("no_such_module_at_all") is None
    assert (
        message(ModuleNotFoundError, "import lamina.nonsense")
        == "No module named 'lamina.nonsense'"
    )
    from lamina import saving  # a submodule that is not imported with lamina

    assert saving.save_weights


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("la.layers.Dens", "did you mean 'Dense'?"),
        ("from lamina.layers import Dens", "did you mean 'Dense'?"),
        ("la.layers.maxpooling2d", "did you mean 'MaxPooling2D'?"),
        ("la.losses.MeanSquareError", "did you mean 'MeanSquaredError'?"),
        ("la.losses.Hubber", "did you mean 'Huber'? Keras's Huber, a loss, is planned"),
        ("la.optimizers.adam", "did you mean 'Adam'?"),
        ("la.callbacks.EarlyStoping", "did you mean 'EarlyStopping'?"),
        ("la.utils.to_categorial", "did you mean 'to_categorical'?"),
        ("la.kernels.gem", "did you mean 'gemm'?"),
        ("la.reference.relu_foward", "did you mean 'relu_forward'?"),
        ("la.Sequental", "did you mean 'Sequential'?"),
        ("la.Dense", "; it is lamina.layers.Dense"),
        ("la.layers.Adam", "; it is lamina.optimizers.Adam"),
        ("la.LSTM", "Keras's layers.LSTM, a recurrent layer, is planned"),
    ],
)
def test_misspelt_attributes(code, said):
    error = ImportError if code.startswith("from") else AttributeError
    assert said in message(error, code)


def test_nothing_is_guessed_where_nothing_is_near():
    assert message(AttributeError, "la.quite_another") == (
        "module 'lamina' has no attribute 'quite_another'"
    )
    assert message(AttributeError, "la.layers.__wrapped__") == (
        "module 'lamina.layers' has no attribute '__wrapped__'"
    )


DENSE = "la.Sequential([la.layers.Dense(1, input_shape=(2,))])"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("la.layers.Dense(3, 'rellu')", "activation 'rellu' is not known; did you mean 'relu'?"),
        ("la.layers.Dense(3, 'swish')", "activation 'swish' is not known: Keras's swish"),
        ("la.activations.get('sigmod')", "did you mean 'sigmoid'?"),
        ("la.losses.get('mean_square_error')", "did you mean 'mean_squared_error'?"),
        ("la.losses.get('huber')", "loss 'huber' is not known: Keras's Huber, a loss, is planned"),
        ("la.losses.get('BinaryCrossEntropy')", "did you mean 'binary_crossentropy'?"),
        ("la.metrics.get('acuracy')", "did you mean 'accuracy'?"),
        ("la.metrics.get('auc')", "metric 'auc' is not known: Keras's AUC, a metric of all rows"),
        ("la.optimizers.get('adamm')", "did you mean 'adam'?"),
        ("la.optimizers.get('rmsprop')", "Keras's RMSprop, an optimizer, is planned"),
        ("la.initializers.get('he_unifrom')", "did you mean 'he_uniform'?"),
        ("la.initializers.get('orthogonal')", "Keras's Orthogonal, an initializer, is planned"),
        (f"{DENSE}.compile('sgd', 'mse', metrics=['acc', 'mse2'])", "did you mean 'mse'?"),
        (
            "la.Sequential.from_config({'layers': [{'class_name': 'LSTM', 'config': {}}]})",
            "layer class 'LSTM' is not known: Keras's LSTM, a recurrent layer, is planned",
        ),
        (
            "la.Sequential.from_config({'layers': [{'class_name': 'Dens', 'config': {}}]})",
            "layer class 'Dens' is not known; did you mean 'Dense'?",
        ),
    ],
)
def test_misspelt_values(code, said):
    assert said in message(ValueError, code)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (f"{DENSE}.fit(batchsize=5)", "'batchsize'; did you mean 'batch_size'?"),
        (f"{DENSE}.compile(optimiser='adam')", "'optimiser'; did you mean 'optimizer'?"),
        (f"{DENSE}.evaluate(sample_weights=1)", "did you mean 'sample_weight'?"),
        (f"{DENSE}.test_on_batch(1, returndict=True)", "did you mean 'return_dict'?"),
        (f"{DENSE}.summary(line_lenght=1)", "did you mean 'line_length'?"),
        (
            f"{DENSE}.load_weights('x', skip_mismatch=True)",
            "Keras's skip_mismatch is not",
        ),
        ("la.Sequential(layer=[])", "did you mean 'layers'?"),
        (
            "la.layers.Dense(unit=3)",
            "'unit'; did you mean 'units'?",
        ),
        ("la.layers.Dense(3, activatoin='relu')", "did you mean 'activation'?"),
        ("la.layers.Dense(3, input_shap=(3,))", "did you mean 'input_shape'?"),
        ("la.layers.Dense(3, kernel_regulariser=None)", "did you mean 'kernel_regularizer'?"),
        ("la.layers.BatchNormalization(renorm=True)", "Keras's renorm is not supported here"),
        ("la.Input(shpe=(3,))", "did you mean 'shape'?"),
        ("la.optimizers.Adam(learningrate=1)", "did you mean 'learning_rate'?"),
        ("la.optimizers.Adam(clip_norm=1)", "did you mean 'clipnorm'?"),
        ("la.losses.BinaryCrossentropy(from_logit=True)", "did you mean 'from_logits'?"),
        ("la.losses.MeanSquaredError(dtype='float16')", "Keras's dtype is not supported here"),
        ("la.metrics.BinaryAccuracy(treshold=0.5)", "did you mean 'threshold'?"),
        ("la.callbacks.LambdaCallback(on_epoch_ends=print)", "did you mean 'on_epoch_end'?"),
        ("la.callbacks.EarlyStopping(patiense=2)", "did you mean 'patience'?"),
        ("la.initializers.RandomNormal(std=1)", "did you mean 'stddev'?"),
        ("la.activations.relu([1], max_value=6)", "Keras's max_value is not supported here"),
        ("la.utils.to_categorical([1], num_class=3)", "did you mean 'num_classes'?"),
    ],
)
def test_misspelt_keywords(code, said):
    text = message(TypeError, code)
    assert said in text
    assert text.count("id you mean") <= 1


def test_every_keyword_of_the_table_answers():
    for names, (owners, _) in _missing.KEYWORDS.items():
        for name in names.split():
            for owner in owners.split():
                assert f"Keras's {name} is not supported" in _missing.keyword_hint(owner, name, ())


def test_type_errors_from_within_stay_as_they_are():
    class Odd:
        def __array__(self, *args, **kwargs):
            raise TypeError("from within")

    model = la.Sequential([la.layers.Dense(1, input_shape=(2,))])
    with pytest.raises(TypeError, match=r"^from within$"):
        la.utils.to_categorical(x=Odd())
    with pytest.raises(TypeError, match="takes from 2 to 6 positional arguments but 8 were given"):
        model.predict(1, 2, 3, 4, 5, 6, 7)


def test_classes_of_the_user_s_own_take_what_they_like():
    class Mine(la.layers.Layer):
        def __init__(self, **kwargs):
            self.rate = kwargs.pop("rate")
            super().__init__(**kwargs)

    assert Mine(rate=3, name="mine").rate == 3

    class Other(la.losses.Loss):
        def __init__(self, gamma):
            super().__init__()

    with pytest.raises(TypeError, match=r"Other\(\) .* 'gama'; did you mean 'gamma'\?"):
        Other(gama=1)


def test_decorated_methods_show_their_arguments():
    import inspect

    assert list(inspect.signature(la.Sequential.fit).parameters)[:4] == [
        "self",
        "x",
        "y",
        "batch_size",
    ]
    assert la.Sequential.fit.__doc__.startswith("Train the model")


@pytest.mark.parametrize("name", MODULES)
def test_completion_shows_what_is_public_and_only_that(name):
    module = module_of(name)
    assert dir(module) == sorted(module.__all__)
    for public in module.__all__:
        value = getattr(module, public)
        if name and not name.startswith(("kernels", "reference", "datasets")):
            assert not isinstance(value, types.ModuleType)
    assert name != "" or {"layers", "Sequential", "datasets", "saving"} <= set(dir(module))


def test_the_package_can_be_copied_and_unpickled():
    assert pickle.loads(pickle.dumps(la.layers.Dense)) is la.layers.Dense
    assert pickle.loads(pickle.dumps(la.losses.MeanSquaredError())).name == "mean_squared_error"


def fresh(code: str) -> subprocess.CompletedProcess:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=60
    )


def test_what_a_user_sees():
    """The last line of the traceback, and one guess in it: Python makes some of its own."""
    for code, last in [
        ("import lamina as la; la.layers.Dens", "did you mean 'Dense'?"),
        ("from lamina.layers import Dens", "did you mean 'Dense'?"),
        ("from lamina.layers import LSTM", "subclass lamina.layers.Layer"),
    ]:
        line = fresh(code).stderr.strip().splitlines()[-1]
        assert line.endswith(last)
        assert line.lower().count("did you mean") <= 1


def test_a_misspelt_attribute_of_a_layer_or_model():
    """Python itself says which is meant, in the traceback."""
    for code, meant in [
        ("la.layers.Dense(3, input_shape=(2,)).activaton", "activation"),
        ("la.Sequential().fitt", "fit"),
    ]:
        assert f"Did you mean: '{meant}'?" in fresh(f"import lamina as la; {code}").stderr


def test_the_table_is_imported_on_a_miss_only():
    code = (
        "import sys, lamina as la; dir(la.layers); hasattr(la.layers, '__wrapped__');"
        "seen = {'lamina._missing', 'difflib'} & set(sys.modules); assert not seen, seen;"
        "hasattr(la.layers, 'LSTM'); assert 'lamina._missing' in sys.modules;"
        "assert 'difflib' not in sys.modules"
    )
    done = fresh(code)
    assert done.returncode == 0, done.stderr


def test_the_page_is_the_table():
    spec = importlib.util.spec_from_file_location("keras_names", ROOT / "tools/keras_names.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.PAGE.read_text(encoding="utf-8") == tool.page(), "run tools/keras_names.py docs"


def test_the_table_covers_the_keras_that_is_installed():
    if importlib.util.find_spec("keras") is None:
        pytest.skip("keras is not installed")
    command = [sys.executable, str(ROOT / "tools/keras_names.py"), "check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
