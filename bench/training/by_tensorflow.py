"""TensorFlow: Keras model.fit on arrays as it comes, or "no-autotune": on a tf.data pipeline of the
same shape as fit's own, with tf.data's autotuning off.

One call of fit, its epochs timed by a callback: what fit does before the first one, such as copying
the rows into a tensor, does not count.
"""

import keras
import tensorflow as tf


def network(job):
    if job.sizes is None:
        layers = [keras.Input((28, 28, 1))]
        for filters in (32, 64):
            layers += [
                keras.layers.Conv2D(filters, 3, activation="relu"),
                keras.layers.MaxPooling2D(2),
            ]
        layers.append(keras.layers.Flatten())
        classes = 10
    else:
        first, *widths, classes = job.sizes
        layers = [keras.Input((first,))]
        layers += [keras.layers.Dense(width, activation="relu") for width in widths]
    if job.dropout:
        layers.append(keras.layers.Dropout(job.dropout))
    layers.append(keras.layers.Dense(classes, activation="softmax"))
    model = keras.Sequential(layers)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class Stopwatch(keras.callbacks.Callback):
    def __init__(self, timer):
        super().__init__()
        self.timer = timer

    def on_epoch_begin(self, epoch, logs=None):
        self.timer.start()

    def on_epoch_end(self, epoch, logs=None):
        self.timer.stop()
        if self.timer.enough:
            self.model.stop_training = True


def pipeline(x, y, batch):
    """Rows gathered a batch at a time by a shuffled index."""
    rows, labels = tf.constant(x), tf.constant(y)
    whole = len(x) // batch * batch

    def batches(_):
        order = tf.random.shuffle(tf.range(len(x)))
        parts = tf.data.Dataset.from_tensor_slices(tf.reshape(order[:whole], [-1, batch]))
        return (
            parts
            if whole == len(x)
            else parts.concatenate(tf.data.Dataset.from_tensors(order[whole:]))
        )

    options = tf.data.Options()
    options.autotune.enabled = False
    index = tf.data.Dataset.range(1).flat_map(batches)
    gathered = index.map(lambda i: (tf.gather(rows, i), tf.gather(labels, i)))
    return gathered.prefetch(1).with_options(options)


def train(job, x, y, timer, variant=""):
    keras.utils.set_random_seed(1)
    model = network(job)
    # As many epochs as the timer can want; it stops fit.
    options = {"epochs": 1000, "verbose": 0, "callbacks": [Stopwatch(timer)]}
    if variant == "no-autotune":
        model.fit(pipeline(x, y, job.batch), **options)
    else:
        model.fit(x, y, batch_size=job.batch, **options)
    return lambda rows: model.predict(rows, batch_size=1000, verbose=0)
