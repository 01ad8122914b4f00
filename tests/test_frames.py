"""Data frames: what pandas makes of a table goes into a model as it is."""

import decimal

import numpy as np
import pytest

import lamina as la
from close import assert_bits
from lamina import data

pd = pytest.importorskip("pandas")


def table():
    return pd.DataFrame(
        {
            "age": [31.5, 22.0, 47.25],
            "city": ["Paris", "Oslo", "Paris"],
            "member": [True, False, True],
            "visits": np.array([3, 0, 250], np.uint8),
        }
    )


def test_what_get_dummies_makes_trains_and_predicts():
    x = pd.get_dummies(table())
    assert sorted({dtype.kind for dtype in x.dtypes}) == ["b", "f", "u"]
    want = [[31.5, 1, 3, 0, 1], [22, 0, 0, 1, 0], [47.25, 1, 250, 0, 1]]
    assert_bits(data.as_array(x, "x"), np.array(want))
    y = pd.Series([1, 0, 1], name="bought")
    results = []
    for features, targets in [(x, y), (np.array(want), y.to_numpy())]:
        la.utils.set_random_seed(0)
        m = la.Sequential([la.layers.Dense(1, "sigmoid")])
        m.compile("sgd", "binary_crossentropy")
        history = m.fit(features, targets, validation_data=(features, targets), verbose=0).history
        loss = m.train_on_batch(features, targets)
        results.append((history, loss, m.predict(features, verbose=0).tobytes()))
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("columns", "want"),
    [
        ({"a": pd.array([1, 2], "Int64")}, np.array([[1], [2]])),
        ({"a": pd.array([1, 2], "UInt8"), "b": [3, 4]}, np.array([[1, 3], [2, 4]])),
        ({"a": pd.array([1.5, 2], "Float32")}, np.array([[1.5], [2]], np.float32)),
        ({"a": pd.array([True, False], "boolean")}, np.array([[True], [False]])),
        ({"a": [True, False], "b": [False, False]}, np.array([[True, False], [False, False]])),
        ({"a": [1, True]}, np.array([[1.0], [1.0]])),
        ({"a": pd.Series([1, decimal.Decimal("2.5")])}, np.array([[1.0], [2.5]])),
        ({"a": pd.Categorical([7, 5])}, np.array([[7], [5]])),
        ({"a": pd.arrays.SparseArray([0.0, 2.0])}, np.array([[0.0], [2.0]])),
        ({"a": [1.0, np.nan]}, np.array([[1.0], [np.nan]])),  # a float as any other
        ({}, np.empty((2, 0), np.float32)),
    ],
)
def test_columns_of_every_type(columns, want):
    frame = pd.DataFrame(columns, index=["first", "second"] if not columns else None)
    assert_bits(data.as_array(frame, "x"), want)
    for i, name in enumerate(columns):
        column = data.as_array(frame[name], "y")
        assert column.shape == (2,) and np.array_equal(column, want[:, i], equal_nan=True)


def test_two_columns_of_one_name():
    frame = pd.DataFrame([[1.0, True], [2.0, False]], columns=["a", "a"])
    assert_bits(data.as_array(frame, "x"), np.array([[1.0, 1.0], [2.0, 0.0]]))


@pytest.mark.parametrize(
    ("frame", "error", "message"),
    [
        (
            table(),
            TypeError,
            r"x: column 'city' must hold real numbers, got text: 'Paris' in row 0",
        ),
        (table()["city"], TypeError, "x, the column 'city', must hold .* 'Paris' in row 0; encode"),
        (
            pd.DataFrame({"a": pd.Series([1, None, "b"], dtype=object)}),
            TypeError,
            "column 'a' must hold real numbers, got text: 'b' in row 2",
        ),
        (
            pd.DataFrame({"a": pd.Categorical(["u", "v"])}),
            TypeError,
            "column 'a' must hold real numbers, got text: 'u' in row 0",
        ),
        (
            pd.DataFrame({"day": pd.to_datetime(["2026-01-02"])}),
            TypeError,
            "column 'day' must hold real numbers, got datetime64: 2026-01-02T00:00:00",
        ),
        (pd.DataFrame({"z": [1j]}), TypeError, "column 'z' must hold real numbers, got complex"),
        (
            pd.DataFrame({"a": [1, 2], "b": pd.array([3, None], "Int64")}),
            ValueError,
            "x: column 'b' has no value in row 1; fill it in",
        ),
        (
            pd.DataFrame({"b": pd.array([None, True], "boolean")}),
            ValueError,
            "column 'b' has no value in row 0",
        ),
        (
            pd.DataFrame({"b": pd.Series([1, None], dtype=object)}),
            ValueError,
            "column 'b' has no value in row 1",
        ),
        (table().to_numpy(), TypeError, r"x must hold .* got text: 'Paris' in row 0, column 1"),
        ([[1, None]], ValueError, "x has no value in row 0, column 1"),
        ([1, 10**400], TypeError, "x must hold numbers within the range of float64"),
    ],
)
def test_what_holds_no_number_is_named(frame, error, message):
    with pytest.raises(error, match=message):
        data.as_array(frame, "x")


def test_arrays_of_objects_that_are_numbers():
    """What DataFrame.to_numpy() makes of columns of several types."""
    values = pd.get_dummies(table()).to_numpy()
    assert values.dtype == object
    assert data.as_array(values, "x").dtype == np.float64
    assert_bits(data.as_array(values[:, 1], "y"), np.array([1.0, 0.0, 1.0]))


class FrameOfPolars:
    """The part of polars.DataFrame that is used."""

    def __init__(self, **columns):
        self._columns = [ColumnOfPolars(name, values) for name, values in columns.items()]
        self.columns = list(columns)

    def __len__(self):
        return len(self._columns[0].values)

    def iter_columns(self):
        return iter(self._columns)


class ColumnOfPolars:
    dtype = "a type of its own"

    def __init__(self, name, values):
        self.name, self.values = name, values

    def is_null(self):
        return [value is None for value in self.values]

    def to_numpy(self):
        return np.array(self.values, float) if None in self.values else np.array(self.values)

    def __array__(self, dtype=None, copy=None):
        return self.to_numpy()


def test_frames_of_polars():
    frame = FrameOfPolars(a=[1, 2], b=[True, False], c=[0.5, 1.5])
    assert_bits(data.as_array(frame, "x"), np.array([[1, 1, 0.5], [2, 0, 1.5]]))
    with pytest.raises(TypeError, match="column 'b' must hold real numbers, got text: 'u'"):
        data.as_array(FrameOfPolars(a=[1, 2], b=["u", "v"]), "x")
    with pytest.raises(ValueError, match="column 'b' has no value in row 1"):
        data.as_array(FrameOfPolars(a=[1, 2], b=[1, None]), "x")
