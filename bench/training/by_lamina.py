"""lamina: each epoch is a whole call of fit, so its checks and preparations count."""

import lamina as la


def network(job):
    if job.sizes is None:
        layers = [la.Input((28, 28, 1))]
        for filters in (32, 64):
            layers += [
                la.layers.Conv2D(filters, 3, activation="relu"),
                la.layers.MaxPooling2D(2),
            ]
        layers.append(la.layers.Flatten())
        classes = 10
    else:
        first, *widths, classes = job.sizes
        layers = [la.Input((first,))]
        layers += [la.layers.Dense(width, activation="relu") for width in widths]
    if job.dropout:
        layers.append(la.layers.Dropout(job.dropout))
    layers.append(la.layers.Dense(classes, activation="softmax"))
    model = la.Sequential(layers)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def train(job, x, y, timed):
    la.utils.set_random_seed(1)
    model = network(job)
    timed(lambda: model.fit(x, y, batch_size=job.batch, epochs=1, verbose=0))
    return lambda rows: model.predict(rows, verbose=0)
