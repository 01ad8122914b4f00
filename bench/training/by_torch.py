"""PyTorch, eager. As its users write it, or "fused": with the two switches that make it fastest,
the fused Adam and flushed denormals. Images are channels_last either way."""

from itertools import pairwise

import numpy as np
import torch
from torch import nn


def network(job):
    if job.sizes is None:
        layers = []
        for channels, filters in ((1, 32), (32, 64)):
            layers += [nn.Conv2d(channels, filters, 3), nn.ReLU(), nn.MaxPool2d(2)]
        layers.append(nn.Flatten())
        last = (1600, 10)
    else:
        layers = []
        for rows, cols in pairwise(job.sizes[:-1]):
            layers += [nn.Linear(rows, cols), nn.ReLU()]
        last = job.sizes[-2:]
    if job.dropout:
        layers.append(nn.Dropout(job.dropout))
    model = nn.Sequential(*layers, nn.Linear(*last))
    return model.to(memory_format=torch.channels_last) if job.sizes is None else model


def tensor(x):
    """Images NHWC in memory, NCHW in their shape."""
    rows = torch.from_numpy(x)
    return rows.permute(0, 3, 1, 2) if rows.ndim == 4 else rows


def train(job, x, y, timed, variant=""):
    fused = variant == "fused"
    torch.manual_seed(1)
    torch.set_flush_denormal(fused)
    model = network(job)
    # Without fused=True torch chooses by itself; fused=False would forbid more than that.
    adam = torch.optim.Adam(model.parameters(), eps=1e-7, fused=fused or None)
    cross_entropy = nn.CrossEntropyLoss()
    rows, labels = tensor(x), torch.from_numpy(y.astype(np.int64))

    def epoch():
        order = torch.randperm(len(rows))
        for start in range(0, len(rows), job.batch):
            index = order[start : start + job.batch]
            adam.zero_grad()
            cross_entropy(model(rows[index]), labels[index]).backward()
            adam.step()

    timed(epoch)
    model.eval()

    def predict(rows):
        with torch.inference_mode():
            return model(tensor(rows)).numpy()

    return predict
