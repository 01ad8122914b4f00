"""Train a small network on handwritten digits: the tutorial, and pictures of how it went.

python examples/mnist.py [--epochs N] [--seed N] [--plot [FILE]]
"""

import argparse
import os

import numpy as np

import lamina as la
from lamina.datasets import mnist


def main():
    options = parse_arguments()
    if options.seed is not None:
        la.utils.set_random_seed(options.seed)

    (train_images, train_labels), (test_images, test_labels) = mnist.load_data()
    model = la.models.Sequential([
        la.layers.Flatten(input_shape=(28, 28)),
        la.layers.Dense(128, activation="relu"),
        la.layers.Dropout(0.2),
        la.layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(train_images / 255.0, train_labels, epochs=options.epochs)
    test_loss, test_acc = model.evaluate(test_images / 255.0, test_labels)
    print(f"Test loss {test_loss:.4f}, test accuracy {test_acc:.2%}")

    if options.plot:
        predicted = model.predict(test_images / 255.0).argmax(axis=1)
        test = {"loss": test_loss, "accuracy": test_acc}
        plot(options.plot, history.history, test, test_images, test_labels, predicted)
        print(f"Saved {options.plot}")


def parse_arguments():
    parser = argparse.ArgumentParser(description="Train a small network on MNIST.")
    parser.add_argument("--epochs", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--seed", type=int, help="makes the run repeatable")
    parser.add_argument(
        "--plot", nargs="?", const="mnist.png", metavar="FILE", help="draw into FILE (mnist.png)"
    )
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    if options.plot:  # Better to say it now than after the training.
        folder = os.path.dirname(os.path.abspath(options.plot))
        if not os.path.isdir(folder):
            parser.error(f"--plot: there is no folder {folder}")
        try:
            import matplotlib.figure  # noqa: F401
        except ImportError as error:
            parser.exit(1, f"--plot needs matplotlib ({error}): pip install '.[plot]'\n")
    return options


def plot(file, history, test, images, labels, predicted):
    """Draw the curves of the training, 40 test digits, and the first 10 that were misread."""
    from matplotlib.figure import Figure

    # A Figure of its own, without pyplot: needs no display, and leaves no global state.
    figure = Figure(figsize=(10, 10), layout="constrained")
    curves, digits = figure.subfigures(2, 1, height_ratios=[2, 3])
    epochs = np.arange(1, len(history["loss"]) + 1)
    for axes, name in zip(curves.subplots(1, 2), ("loss", "accuracy"), strict=True):
        axes.plot(epochs, history[name], "o-", label="training, with dropout")
        axes.axhline(test[name], linestyle="--", color="tab:orange", label="test, at the end")
        axes.set(xlabel="epoch", ylabel=name, xticks=epochs)
        axes.legend()

    wrong = predicted != labels
    digits.suptitle("Test digits as they were read; last row: the first mistakes (and the truth)")
    shown = np.concatenate([np.arange(40), np.flatnonzero(wrong)[:10]])
    grid = digits.subplots(5, 10).ravel()
    for axes in grid:
        axes.axis("off")
    for axes, i in zip(grid, shown, strict=False):
        axes.imshow(images[i], cmap="gray_r")
        text = f"{predicted[i]} ({labels[i]})" if wrong[i] else f"{predicted[i]}"
        axes.set_title(text, color="red" if wrong[i] else "black")
    figure.savefig(file)


if __name__ == "__main__":
    main()
