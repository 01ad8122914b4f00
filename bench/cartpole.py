"""Steps a second of the CartPole examples, with lamina's networks and with PyTorch's.

    python -m bench.cartpole [--steps 20000] [--rounds 3]

The loops are the examples' own: environment, replay and targets in NumPy are the same for both, and
so are widths, optimizer, batch and the number of updates. One thread, and its processor time, so
that others on the machine do not count; in turns; medians. Needs gymnasium and PyTorch. No network
is faster than the environment alone, which is the last line.
"""

import argparse
import importlib
import os
import statistics
import sys
import time
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))


def torch_networks():
    """(policy, network) of the examples, as PyTorch would have them, behind the same methods."""
    import numpy as np
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)

    class Network:
        def __init__(self, rate, *layers):
            self.layers = nn.Sequential(*layers)
            self.optimizer = torch.optim.Adam(self.layers.parameters(), rate, eps=1e-7, fused=True)
            self.optimizer.learning_rate = rate  # what the examples set

        def __call__(self, x):
            with torch.inference_mode():
                return self.outputs(torch.as_tensor(np.asarray(x, "float32"))).numpy()

        def outputs(self, x):
            return self.layers(x)

        def step(self, loss):
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.param_groups[0]["lr"] = self.optimizer.learning_rate
            self.optimizer.step()

        def get_weights(self):
            return self.layers.state_dict()

        def set_weights(self, weights):
            self.layers.load_state_dict(weights)

    class Policy(Network):
        def outputs(self, x):
            return torch.softmax(self.layers(x), 1)

        def train_on_batch(self, x, y, sample_weight):
            logits = self.layers(torch.from_numpy(x))
            labels, weights = map(torch.from_numpy, (y.astype(int), sample_weight.astype("f4")))
            losses = nn.functional.cross_entropy(logits, labels, reduction="none")
            self.step((losses * weights).mean())

    class Values(Network):
        def train_on_batch(self, x, y):
            self.step(nn.functional.mse_loss(self.layers(torch.from_numpy(x)), torch.from_numpy(y)))

    def policy():
        return Policy(3e-3, nn.Linear(4, 128), nn.ReLU(), nn.Linear(128, 2))

    def network():
        hidden = nn.Linear(4, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU()
        return Values(2.3e-3, *hidden, nn.Linear(128, 2))

    return policy, network


def environment_alone(steps):
    import gymnasium as gym

    env, began = gym.make("CartPole-v1"), time.perf_counter()
    env.reset(seed=0)
    for step in range(steps):
        *_, terminated, truncated, _ = env.step(step % 2)
        if terminated or truncated:
            env.reset()
    return steps / (time.perf_counter() - began)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20000, help="of DQN, a round")
    parser.add_argument("--episodes", type=int, default=400, help="of REINFORCE, a round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    os.environ["LAMINA_NUM_THREADS"] = "1"
    reinforce, dqn = map(importlib.import_module, ("cartpole_reinforce", "cartpole_dqn"))
    torch_policy, torch_network = torch_networks()
    policies = {"lamina": reinforce.policy, "PyTorch": torch_policy}
    networks = {"lamina": dqn.network, "PyTorch": torch_network}
    rates = {}
    # The loops ask this clock.
    mock.patch("time.perf_counter", time.process_time).start()
    for seed in range(options.rounds):
        rates.setdefault("the environment alone", []).append(environment_alone(options.steps))
        for name in ("lamina", "PyTorch"):
            rate = reinforce.train(policies[name](), seed, options.episodes)[1]
            rates.setdefault(f"REINFORCE, {name}", []).append(rate)
            rate = dqn.train(networks[name](), networks[name](), seed, options.steps)[1]
            rates.setdefault(f"DQN, {name}", []).append(rate)
    for name, found in sorted(rates.items()):
        print(f"{name}: {statistics.median(found):,.0f} steps a second "
              f"({min(found):,.0f} to {max(found):,.0f})")  # fmt: skip


if __name__ == "__main__":
    main()
