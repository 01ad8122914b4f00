"""Tabular data: lamina in a scikit-learn pipeline, with cross-validation and a grid search.

python examples/tabular.py [--epochs N]

scikit-learn asks for an estimator: parameters in __init__, fit, predict, and classes_. The class
below is one, over a Sequential; scikit-learn's own mixins do the rest.
"""

import argparse

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import lamina as la


class DenseClassifier(ClassifierMixin, BaseEstimator):
    """Hidden layers of relu, and a softmax over the classes that fit has seen.

    __init__ only stores its arguments: `clone` copies an estimator by get_params().
    """

    def __init__(self, hidden=(32,), dropout=0.2, epochs=30, batch_size=32, seed=0):
        self.hidden = hidden
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.seed = seed

    def fit(self, x, y, sample_weight=None):
        la.utils.set_random_seed(self.seed)
        self.classes_, labels = np.unique(y, return_inverse=True)
        self.n_features_in_ = x.shape[1]
        layers = [la.layers.Input((x.shape[1],))]
        for units in self.hidden:
            layers += [la.layers.Dense(units, activation="relu"), la.layers.Dropout(self.dropout)]
        layers.append(la.layers.Dense(len(self.classes_), activation="softmax"))
        self.model_ = la.Sequential(layers)
        self.model_.compile("adam", "sparse_categorical_crossentropy")
        self.model_.fit(x, labels, self.batch_size, self.epochs, 0, sample_weight=sample_weight)
        return self

    def predict_proba(self, x):
        return self.model_.predict(x, verbose=0)

    def predict(self, x):
        return self.classes_[self.predict_proba(x).argmax(axis=1)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args()
    table = load_breast_cancer()
    x, y = table.data, table.target_names[table.target]  # classes may be words

    # In a pipeline the scaler learns from the training part of each fold alone.
    linear = make_pipeline(StandardScaler(), LogisticRegression())
    dense = make_pipeline(StandardScaler(), DenseClassifier(epochs=options.epochs))
    for name, model in (("logistic regression", linear), ("lamina", dense)):
        scores = cross_val_score(model, x, y, cv=5)
        print(f"{name}: {scores.mean():.3f} +- {scores.std():.3f} over five folds")

    grid = {"denseclassifier__hidden": [(16,), (64,), (32, 32)]}
    search = GridSearchCV(dense, grid, cv=3, scoring="roc_auc").fit(x, y)
    print(f"best of the grid: {search.best_params_}, area under the curve {search.best_score_:.4f}")


if __name__ == "__main__":
    main()
