"""Balance a pole by deep Q-learning: replayed steps, a target network, double Q-learning.

python examples/cartpole_dqn.py [--seed N] [--steps N]

The network is trained by mean squared error on targets that equal its own predictions, except for
the action taken. Solved is a mean of 475 over 100 episodes, of 500 steps at most.
"""

import argparse
import time

import gymnasium as gym
import numpy as np

import lamina as la

GAMMA, BATCH, START = 0.99, 128, 1000
EVERY, UPDATES = 256, 128  # after so many steps, so many batches against a fixed target network
RATE, SLOW = 1e-3, 100000  # the learning rate falls to a tenth in so many steps
EXPLORE = 5000  # the steps in which the share of random actions falls to one in a hundred
SIZE = np.array([2.4, 3, 0.21, 3], "f4")  # of a state: place, speed, angle and its speed


def network():
    layers = [la.layers.Dense(128, activation="relu") for _ in range(2)]
    model = la.Sequential([la.layers.Input((4,)), *layers, la.layers.Dense(2)])
    model.compile(la.optimizers.Adam(RATE), "mse")
    return model


def learn(model, target, states, actions, rewards, following, terminated):
    """One batch. Rewards are scaled so that values, sums of discounted rewards, end at 1."""
    rows = np.arange(len(states))
    best = model(following).argmax(axis=1)  # chosen by one network, judged by the other
    after = np.where(terminated, 0, target(following)[rows, best])
    wanted = np.array(model(states))
    wanted[rows, actions] = (1 - GAMMA) * rewards + GAMMA * after
    model.train_on_batch(states, wanted)


def train(model, target, seed, most):
    """Until the pole is balanced, or for so many steps: lengths of all episodes, steps a second."""
    rng, env = np.random.default_rng(seed), gym.make("CartPole-v1")
    # Of every step: state, action, reward, next state, and whether the episode ended there.
    kinds = (((4,), "f4"), ((), int), ((), "f4"), ((4,), "f4"), ((), bool))
    memory = [np.empty((most, *shape), kind) for shape, kind in kinds]
    lengths, length, began = [], 0, time.perf_counter()
    state = env.reset(seed=seed)[0] / SIZE
    for step in range(most):
        random = rng.random() < max(0.01, 1 - step / EXPLORE)
        action = int(rng.integers(2) if random else model(state[None]).argmax())
        following, reward, terminated, truncated, _ = env.step(action)
        following, length = following / SIZE, length + 1
        # An episode that is cut off has not ended: what would follow still counts.
        for part, value in zip(memory, (state, action, reward, following, terminated), strict=True):
            part[step] = value
        state = following
        if terminated or truncated:
            lengths, length, state = [*lengths, length], 0, env.reset()[0] / SIZE
            if len(lengths) >= 100 and np.mean(lengths[-100:]) >= 475:
                break
        if step >= START and step % EVERY == 0:
            target.set_weights(model.get_weights())
            model.optimizer.learning_rate = RATE * max(0.1, 1 - step / SLOW)
            for chosen in rng.integers(step + 1, size=(UPDATES, BATCH)):
                learn(model, target, *(part[chosen] for part in memory))
    return lengths, (step + 1) / (time.perf_counter() - began)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=300000, help="at most (%(default)s)")
    options = parser.parse_args()
    la.utils.set_random_seed(options.seed)
    done, rate = train(network(), network(), options.seed, options.steps)
    print(f"{len(done)} episodes, mean of the last 100: {np.mean(done[-100:]):.0f}; "
          f"{sum(done)} steps, {rate:.0f} a second")  # fmt: skip
