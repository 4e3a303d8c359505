"""In-place safety: what was saved for backward and then overwritten raises, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import leaf

import microweights as mw


def fill(t: mw.Tensor) -> None:
    t[...] = 9.0


def add_one(t: mw.Tensor) -> None:
    t += 1.0


def fill_part(t: mw.Tensor) -> None:
    t[0] = 9.0


def fill_chosen(t: mw.Tensor) -> None:
    t[np.zeros(t.shape[0], int)] = 9.0


def scale_view(t: mw.Tensor) -> None:
    view = t.reshape(-1)[:1]
    view *= 3.0


OVERWRITINGS = [
    fill, add_one, fill_part, fill_chosen, scale_view, lambda t: fill(t.detach()), lambda t: fill(t.T),
    lambda t: fill(t[1:]),
    lambda t: fill(t.reshape(4)), lambda t: fill(t.detach().reshape(4)[::2]), lambda t: t.assign(np.zeros((2, 2))),
]  # fmt: skip

SAVES = {
    "Multiply": lambda x, w: x * w,
    "Divide": lambda x, w: w / x,
    "Power": lambda x, w: x**3.0,
    "Square": lambda x, w: x**2,
    "Log": lambda x, w: x.log(),
    "Absolute": lambda x, w: abs(x),
    "MatMul": lambda x, w: x @ w,
    "Maximum": lambda x, w: mw.maximum(x, w),
    "Max": lambda x, w: x.max(1),
    "Gelu": lambda x, w: x.gelu(),
    "Softplus": lambda x, w: x.softplus(),
    "SquaredError": lambda x, w: mw.ops.SquaredError()(x, w),
    "CrossEntropy": lambda x, w: mw.ops.CrossEntropy(np.array([0, 1]))(x),
}
SAVES_NOTHING = {
    "Add": lambda x, w: x + w,
    "Subtract": lambda x, w: x - w,
    "Negative": lambda x, w: -x,
    "Sum": lambda x, w: x.sum(0),
    "Mean": lambda x, w: x.mean(),
    "Reshape": lambda x, w: x.reshape(4),
    "Transpose": lambda x, w: x.T,
    "BroadcastTo": lambda x, w: x.broadcast_to((3, 2, 2)),
    "Index": lambda x, w: x[0],
    "Index by array": lambda x, w: x[np.array([1, 1, 0])],
    "Concatenate": lambda x, w: mw.concatenate([x, w]),
    "Pad": lambda x, w: mw.pad(x, [(1, 1), (0, 2)]),
    "Copy": lambda x, w: x.copy(),
    "Cast": lambda x, w: x.astype("float64"),
    "Where": lambda x, w: mw.where(np.eye(2) > 0, x, w),
}
SAVES_RESULT = {
    "Exp": lambda x: x.exp(),
    "Tanh": lambda x: x.tanh(),
    "Sigmoid": lambda x: x.sigmoid(),
    "Relu": lambda x: x.relu(),
    "Sqrt": lambda x: x.sqrt(),
    "Softmax": lambda x: x.softmax(),
    "LogSoftmax": lambda x: x.log_softmax(),
    "Divide": lambda x: 1 / x,
    "Max": lambda x: x.max(1),
}


def pair() -> tuple[mw.Tensor, mw.Tensor]:
    return leaf([[1.0, 2.0], [3.0, 4.0]]), leaf([[5.0, 6.0], [7.0, 8.0]])


@pytest.mark.parametrize("overwrite", OVERWRITINGS)
def test_every_way_of_overwriting_is_noticed(overwrite: Callable[[mw.Tensor], Any]) -> None:
    x, w = pair()
    y = x * w
    with mw.no_grad():
        overwrite(x)
    with pytest.raises(RuntimeError, match=r"Expected the input that Multiply saved .+ Received: .+ Go backward before"):
        y.sum().backward()
    with pytest.raises(RuntimeError, match="Multiply"):
        mw.grad(y.sum(), w)
    assert (x.grad, w.grad) == (None, None)


@pytest.mark.parametrize("name", SAVES)
def test_an_overwritten_input_that_is_needed_raises(name: str) -> None:
    x, w = pair()
    y = SAVES[name](x, w)
    with mw.no_grad():
        x[...] = 0.5
    with pytest.raises(RuntimeError, match=f"Expected the (input|result) that {name} saved"):
        y.sum().backward()


@pytest.mark.parametrize("name", SAVES_NOTHING)
def test_an_overwritten_input_that_is_not_needed_does_not_raise(name: str) -> None:
    x, w = pair()
    y = SAVES_NOTHING[name](x, w).sum()
    expected = mw.grad(y, x).tolist()
    with mw.no_grad():
        x[...] = 0.5
        w += 1
    y.backward()
    assert x.grad.tolist() == expected


@pytest.mark.parametrize("name", SAVES_RESULT)
def test_an_overwritten_result_that_is_needed_raises(name: str) -> None:
    x, _ = pair()
    y = SAVES_RESULT[name](x)
    z = y.sum()
    with mw.no_grad():
        y[...] = 0.5
    with pytest.raises(RuntimeError, match=f"Expected the result that {name} saved to be unchanged"):
        z.backward()


@pytest.mark.parametrize("name", ["Exp", "Tanh", "Sigmoid", "Relu", "Sqrt", "Softmax"])
def test_an_overwritten_input_does_not_matter_where_the_result_is_saved(name: str) -> None:
    x, _ = pair()
    y = SAVES_RESULT[name](x).sum()
    expected = mw.grad(y, x).tolist()
    with mw.no_grad():
        x[...] = 0.5
    y.backward()
    assert x.grad.tolist() == expected


@pytest.mark.parametrize(
    "fn", [lambda data, w: data * w, lambda data, w: w * data, lambda data, w: data @ w], ids=["*", "r*", "@"]
)
def test_weights_may_be_overwritten_when_only_the_data_is_needed(fn: Callable[..., mw.Tensor]) -> None:
    """d (data @ w) / dw needs the data, not w: so a step may be taken before another backward."""
    data, w = mw.tensor([[1.0, 2.0], [3.0, 4.0]]), leaf([[5.0, 6.0], [7.0, 8.0]])
    y = fn(data, w).sum()
    expected = mw.grad(y, w).tolist()
    with mw.no_grad():
        w -= 0.1
    assert mw.grad(y, w).tolist() == expected


def test_a_view_taken_before_recording_is_noticed() -> None:
    x, w = pair()
    row = x.detach()[0]
    y = (x * w).sum()
    row[...] = 0.0
    with pytest.raises(RuntimeError, match="Multiply"):
        y.backward()


def test_a_constant_that_is_overwritten_is_noticed() -> None:
    x, c = leaf([1.0, 2.0]), mw.tensor([3.0, 4.0])
    y = x * c
    c[0] = 9.0
    with pytest.raises(RuntimeError, match="Multiply"):
        y.sum().backward()


@pytest.mark.parametrize(
    "fn",
    [lambda x, i, b: x[i], lambda x, i, b: x[(i,)], lambda x, i, b: x[b], lambda x, i, b: mw.where(b, x, 0.0)],
    ids=["index", "index in a tuple", "mask", "where"],
)
def test_an_index_that_is_overwritten_is_noticed_or_was_copied(fn: Callable[..., mw.Tensor]) -> None:
    x, i, b = leaf([1.0, 2.0, 3.0]), mw.tensor([0, 0]), mw.tensor([True, False, True])
    y = fn(x, i, b).sum()
    expected = mw.grad(y, x).tolist()
    i[...] = 2
    b[...] = False
    try:
        y.backward()
    except RuntimeError:
        return
    assert x.grad.tolist() == expected


def test_a_target_that_is_overwritten_between_first_and_second_gradient_is_noticed() -> None:
    x, target = leaf([[1.0, 2.0, 0.5]]), mw.tensor([[0.2, 0.3, 0.5]])
    loss = mw.losses.CategoricalCrossentropy(from_logits=True)(target, x)
    first = mw.grad(loss, x, create_graph=True)
    target[...] = 1.0
    with pytest.raises(RuntimeError, match="Expected the target that CrossEntropyGrad saved to be unchanged"):
        mw.grad(first.square().sum(), x)
    with pytest.raises(RuntimeError, match="Expected the target that CrossEntropy saved to be unchanged"):
        loss.backward()


def test_the_dividend_may_be_overwritten() -> None:
    x, w = pair()
    y = (x / w).sum()
    expected = [g.tolist() for g in mw.grad(y, [x, w])]
    with mw.no_grad():
        x[...] = 0.5
    assert [g.tolist() for g in mw.grad(y, [x, w])] == expected


def test_overwriting_before_use_is_fine_and_after_backward_too() -> None:
    x, w = pair()
    for _ in range(3):
        loss = (x * w).sum()
        x.grad = None
        loss.backward()
        assert x.grad.tolist() == w.tolist()
        with mw.no_grad():
            x -= x.grad * 0.1
            w[0] = 2.0


def test_overwriting_a_copy_is_fine() -> None:
    x, w = pair()
    y = (x * w).sum()
    for copy in (x.copy().detach(), mw.tensor(x.detach()), x.detach().copy(), (x * 1).detach(), x.detach()[np.array([0, 1])]):
        copy[...] = 0.0
    y.backward()
    assert x.grad.tolist() == w.tolist()


def test_overwriting_a_reshape_that_had_to_copy_is_fine() -> None:
    x, w = pair()
    flat = x.detach().T.reshape(4)
    y = (x * w).sum()
    flat[...] = 0.0
    assert x.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    y.backward()
    assert x.grad.tolist() == w.tolist()


@pytest.mark.parametrize(
    "overwrite",
    [fill, add_one, fill_part, lambda t: fill(t[:1]), lambda t: t.detach().__setitem__(0, leaf([1.0, 2.0]))],
)
def test_overwriting_what_requires_a_gradient_needs_no_grad(overwrite: Callable[[mw.Tensor], Any]) -> None:
    x, _ = pair()
    with pytest.raises(RuntimeError, match=r"Expected to overwrite values outside the graph\. Received: .+ Do it under"):
        overwrite(x)
    assert x.tolist() == [[1.0, 2.0], [3.0, 4.0]]
