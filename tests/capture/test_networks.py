"""Whole networks, put together at random: a training that is replayed is the eager one, bit for bit.

A thousand of them take a while, so they run on the instruction set in use, not on each.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np
import pytest
from helpers import OPTIMIZERS, in_c, make_step, numbers
from hypothesis import given, settings
from hypothesis import strategies as st

import microweights as mw

NETWORKS, REPLAYS = 1000, 100_000
ACTIVATIONS = [None, "relu", "sigmoid", "tanh", "gelu", "softplus", "elu", "leaky_relu", "softmax"]
PENALTIES = [None, "l1", "l2", mw.regularizers.L1L2(0.01, 0.02)]
OPTIONS: list[Any] = [None, {"clipnorm": 0.1}, {"clipvalue": 0.01}, {"global_clipnorm": 0.5}, {"use_ema": True}]
LAYERS = st.tuples(
    st.integers(1, 17),
    st.sampled_from(ACTIVATIONS),
    st.sampled_from(PENALTIES),
    st.sampled_from([0.0, 0.0, 0.4]),
    st.booleans(),
)
LOSSES = {
    "mse": lambda outputs: numbers(16, outputs, seed=1),
    "mae": lambda outputs: numbers(16, outputs, seed=1),
    "huber": lambda outputs: numbers(16, outputs, seed=1),
    "sparse_categorical_crossentropy": lambda outputs: np.arange(16) % outputs,
}


@in_c
@settings(max_examples=NETWORKS)
@given(
    inputs=st.one_of(st.integers(1, 17), st.sampled_from([100, 600])),  # those that are summed in other ways, too
    hidden=st.lists(LAYERS, max_size=3),
    outputs=st.integers(1, 5),
    optimizer=st.sampled_from(sorted(OPTIMIZERS)),
    option=st.sampled_from(OPTIONS),
    loss=st.sampled_from(sorted(LOSSES)),
    size=st.integers(1, 16),
    accumulates=st.sampled_from([1, 1, 2]),
)
def test_any_training_is_the_eager_one(
    inputs: int, hidden: list[Any], outputs: int, optimizer: str, option: Any, loss: str, size: int, accumulates: int
) -> None:
    outputs += loss.startswith("sparse")  # a softmax of one is refused
    x, y = numbers(16, inputs)[:size], LOSSES[loss](outputs)[:size]
    seen: list[Any] = []
    for eager in (True, False):
        mw.seed(7)
        model = mw.Sequential([mw.Input((inputs,))])
        for i, (units, activation, penalty, rate, biased) in enumerate(hidden):
            model.add(mw.layers.Dense(units, activation, kernel_regularizer=penalty, use_bias=biased))
            if rate:
                model.add(mw.layers.Dropout(rate, seed=i))
        model.add(mw.layers.Dense(outputs, "softmax" if loss.startswith("sparse") else None))
        rule = OPTIMIZERS[optimizer](**option or {})
        model.compile(rule, loss, eager=eager, gradient_accumulation_steps=accumulates)
        losses = [model.train_on_batch(x, y) for _ in range(5)]
        seen.append(
            (
                np.array(losses).tobytes(),
                [w.tobytes() for w in model.get_weights()],
                [model.predict(x).tobytes() for _ in range(3)],
            )
        )
        assert eager or model._steps["train"].programs  # type: ignore[attr-defined]
    assert seen[0] == seen[1]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_many_replays_take_no_memory(c_only: str) -> None:
    def resident() -> int:
        with open("/proc/self/statm") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    step = mw.capture(make_step("adam", dropout=0.3)[0])
    x, y = mw.tensor(numbers(8, 5)), mw.tensor(np.arange(8) % 3)
    for _ in range(1000):
        step(x, y)
    before = resident()
    for _ in range(REPLAYS):
        step(x, y)
    assert len(step.programs) == 1
    assert resident() - before < 1 << 20
