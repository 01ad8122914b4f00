"""Balance a pole by REINFORCE: a policy network, trained on whole episodes by their returns.

python examples/cartpole_reinforce.py [--seed N] [--episodes N]

The gradient of REINFORCE is that of a weighted cross-entropy: the action taken is the label, and
how much better the return was than usual is its weight, which may be negative. Solved is a mean of
475 over 100 episodes, of 500 steps at most.
"""

import argparse
import time

import gymnasium as gym
import numpy as np

import lamina as la

GAMMA = 0.99
ENVIRONMENTS = 8  # episodes at the same time: the network sees eight states a call


def policy():
    model = la.Sequential([
        la.layers.Input((4,)),
        la.layers.Dense(128, activation="relu"),
        la.layers.Dense(2, activation="softmax"),
    ])  # fmt: skip
    model.compile(la.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    return model


def play(envs, model, rng, seed=None):
    """One episode of each environment: (states, actions, rewards) of each."""
    states, _ = envs.reset(seed=seed)
    episodes = [([], [], []) for _ in range(envs.num_envs)]
    running = np.full(envs.num_envs, True)
    while running.any():  # environments that have ended go on meanwhile, unseen
        actions = (rng.random(envs.num_envs) > model(states)[:, 0]).astype("int32")
        following, rewards, terminated, truncated, _ = envs.step(actions)
        for i in np.flatnonzero(running):
            for kept, value in zip(episodes[i], (states[i], actions[i], rewards[i]), strict=True):
                kept.append(value)
        running &= ~(terminated | truncated)
        states = following
    return episodes


def returns(rewards):
    """What each step's action led to: the rewards from there on, discounted."""
    found = [0.0]
    for reward in reversed(rewards):
        found.append(reward + GAMMA * found[-1])
    return np.array(found[:0:-1])


def train(model, seed, most):
    """Until the pole is balanced, or for so many episodes: lengths of all, steps a second."""
    rng = np.random.default_rng(seed)
    envs = gym.make_vec("CartPole-v1", ENVIRONMENTS, vectorization_mode="sync")
    lengths, began = [], time.perf_counter()
    while len(lengths) < 100 or (len(lengths) < most and np.mean(lengths[-100:]) < 475):
        episodes = play(envs, model, rng, None if lengths else seed)
        states, actions, _ = (np.concatenate(part) for part in zip(*episodes, strict=True))
        weights = np.concatenate([returns(rewards) for *_, rewards in episodes])
        weights = (weights - weights.mean()) / (weights.std() + 1e-6)
        model.train_on_batch(states, actions, sample_weight=weights)
        lengths += [len(rewards) for *_, rewards in episodes]
    return lengths, sum(lengths) / (time.perf_counter() - began)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--episodes", type=int, default=4000, help="at most (%(default)s)")
    options = parser.parse_args()
    la.utils.set_random_seed(options.seed)
    done, rate = train(policy(), options.seed, options.episodes)
    print(f"{len(done)} episodes, mean of the last 100: {np.mean(done[-100:]):.0f}; "
          f"{sum(done)} steps, {rate:.0f} a second")  # fmt: skip
