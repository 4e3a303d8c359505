"""micrograd's demo: two moons told apart by a network of single numbers, 2-16-16-1, with a max-margin loss and L2.

The graph of `Value`s is built once, in Python, as a reader of scalar.py would build it. A `Tape` then trains in C.
"""

from __future__ import annotations

import math
import random
import time
from itertools import pairwise

import microweights as mw

Neuron = tuple[list[mw.Value], mw.Value]  # weights and bias


def moons(points: int, noise: float = 0.1) -> tuple[list[list[float]], list[int]]:
    """Points on two half circles that reach into each other, labelled -1 and 1."""
    data, labels = [], []
    for i in range(points):
        label, angle = (1, -1)[i % 2], math.pi * i / points
        x, y = (math.cos(angle), math.sin(angle)) if label < 0 else (1 - math.cos(angle), 0.5 - math.sin(angle))
        data.append([random.gauss(x, noise), random.gauss(y, noise)])
        labels.append(label)
    return data, labels


def make_network(*sizes: int) -> list[list[Neuron]]:
    """Layers of neurons with weights from -1 to 1."""

    def neuron(inputs: int) -> Neuron:
        return [mw.Value(random.uniform(-1, 1)) for _ in range(inputs)], mw.Value(0.0)

    return [[neuron(n) for _ in range(m)] for n, m in pairwise(sizes)]


def score(network: list[list[Neuron]], point: list[float]) -> mw.Value:
    """Above 0: the network takes the point for a 1."""
    a = [mw.Value(v) for v in point]
    for i, layer in enumerate(network):
        z = [mw.weighted_sum(weights, a, bias) for weights, bias in layer]
        a = z if i == len(network) - 1 else [v.relu() for v in z]
    return a[0]


def main(points: int = 100, steps: int = 200) -> float:
    """Train, and return the part of the points that are told right."""
    random.seed(1)
    data, labels = moons(points)
    network = make_network(2, 16, 16, 1)
    weights = [w for layer in network for ws, b in layer for w in (*ws, b)]

    start = time.perf_counter()
    scores = [score(network, point) for point in data]
    margins = [(1 - label * s).relu() for label, s in zip(labels, scores, strict=True)]
    loss = sum(margins, mw.Value(0.0)) / points + 1e-4 * sum((w * w for w in weights), mw.Value(0.0))
    tape = mw.Tape(loss, weights)
    print(f"{len(tape.value):,} numbers, built in {time.perf_counter() - start:.2f} s")

    start = time.perf_counter()
    for step in range(steps):
        value = tape.step(learning_rate=0.5 - 0.45 * step / steps)
        if step % 50 == 0:
            print(f"step {step:3d}  loss {value:.4f}")
    seconds = time.perf_counter() - start
    tape.forward()
    tape.fetch()
    right = sum((s.data > 0) == (label > 0) for s, label in zip(scores, labels, strict=True)) / points
    print(f"{steps} steps in {seconds:.3f} s, {1e6 * seconds / steps:.0f} µs each; {right:.0%} of the points right")
    return right


if __name__ == "__main__":
    main()
