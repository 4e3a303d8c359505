"""What goes into a captured function and comes out: as it lies in memory, in any structure, written to or not."""

from __future__ import annotations

import copy
import itertools
from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np
import pytest
from helpers import bits, numbers, same_as_eager

import microweights as mw
from microweights.capture import Captured
from microweights.errors import CaptureError


def test_results_are_never_overwritten(c_only: str) -> None:
    double = mw.capture(lambda x: [x * 2, x + 0.0])
    kept = [double(mw.tensor([float(i)])) for i in range(6)]
    assert [[t.item() for t in pair] for pair in kept] == [[2.0 * i, float(i)] for i in range(6)]


def test_the_same_tensor_for_two_inputs(c_only: str) -> None:
    add = mw.capture(lambda x, y: x + 2 * y)
    x, y = mw.tensor([1.0, 2.0]), mw.tensor([10.0, 20.0])
    for _ in range(3):
        assert add(x, x).tolist() == [3.0, 6.0]
    assert add(x, y).tolist() == [21.0, 42.0]


@pytest.mark.parametrize("view", ["transposed", "strided", "reversed", "swapped", "readonly"])
def test_inputs_as_they_lie_in_memory(view: str, c_only: str) -> None:
    a = numbers(6, 4)
    x = {"transposed": a.T, "strided": a[::2], "reversed": a[::-1], "swapped": a.astype(">f4"), "readonly": a}[view]
    x.flags.writeable = view != "readonly"
    fn = mw.capture(lambda t: t * 3 - 1)
    for _ in range(4):
        assert np.array_equal(fn(x).numpy(), np.asarray(x, np.float32) * np.float32(3) - 1)


def test_structures_of_inputs_and_results(c_only: str) -> None:
    @mw.capture
    def fn(pair: Any, *, named: Any, flag: bool = False) -> Any:
        x, y = pair["x"], pair["y"][0]
        return {"sum": x + y, "all": (x * 2, [y - named]), "flag": flag, "none": None}

    x, y, z = mw.tensor([1.0]), np.array([2.0], np.float32), [5.0]
    for flag in (False, True) * 4:
        result = fn({"x": x, "y": (y,)}, named=z, flag=flag)
        assert result["sum"].tolist() == [3.0]
        assert (result["all"][0].tolist(), result["all"][1][0].tolist()) == ([2.0], [-3.0])
        assert result["flag"] is flag
        assert result["none"] is None
    assert len(fn.programs) == 2


def test_results_that_are_views_inputs_constants_and_twice_the_same(c_only: str) -> None:
    constant = mw.tensor([7.0])

    def fn(x: mw.Tensor) -> list[mw.Tensor]:
        z = x + 1
        return [z, z.T, z[0], z, x, constant, x.argmax(0), x > 0]

    same_as_eager(fn, mw.tensor(numbers(3, 4)))


def test_writing_to_an_input(c_only: str) -> None:
    @mw.capture
    def fill(x: mw.Tensor, y: mw.Tensor) -> mw.Tensor:
        x.assign(x * 2)
        return x + y

    a, x = np.ones(6, np.float32), mw.tensor([1.0, 1.0, 1.0])
    for given in (a[::2], x):
        with pytest.raises(CaptureError, match=r"inputs that are only read.*test_inputs.py:\d+"):
            fill(given, np.ones(3, np.float32))
    assert a.tolist() == [1.0] * 6 and x.tolist() == [1.0] * 3


@pytest.mark.parametrize("shape", [(0,), (0, 3), (1,), (15,), (16, 17), (2, 1, 3)])
def test_awkward_sizes(shape: tuple[int, ...], c_only: str) -> None:
    same_as_eager(lambda x: [(x * 2).tanh() + 1, x.sum()], mw.tensor(np.ones(shape, np.float32)))


def test_nan_and_infinity_come_through(c_only: str) -> None:
    same_as_eager(lambda x: [x.exp(), x.max(), x / 0.0], mw.tensor([np.nan, np.inf, -np.inf, 1.0]))


def test_methods(c_only: str) -> None:
    class Scale:
        def __init__(self, factor: float) -> None:
            self.factor = mw.tensor([factor])
            self.times = mw.capture(self.times)

        def times(self, x: mw.Tensor) -> mw.Tensor:
            return self.factor * x

    class Tripled(Scale):
        def times(self, x: mw.Tensor) -> mw.Tensor:
            return super().times(x) * 3

    two, three, six, x = Scale(2.0), Scale(3.0), Tripled(2.0), mw.tensor([5.0])
    for _ in range(4):
        assert (two.times(x).item(), three.times(x).item(), six.times(x).item()) == (10.0, 15.0, 30.0)
    assert copy.deepcopy(two).times.fn.__self__ is not two


def test_a_decorated_method_says_how(c_only: str) -> None:
    class Scale:
        @mw.capture
        def times(self, x: mw.Tensor) -> mw.Tensor:
            return x * 2

    assert isinstance(Scale.times, Captured)
    with pytest.raises(TypeError, match=r"self.times = mw.capture\(self.times\) in __init__"):
        Scale().times(mw.tensor([1.0]))


class Pair(NamedTuple):
    first: Any
    second: Any


def test_named_tuples_go_in_and_out(c_only: str) -> None:
    swapped = mw.capture(lambda pair: Pair(pair.second * 1, pair.first * 1))
    for i in range(4):
        result = swapped(Pair(mw.tensor([float(i)]), mw.tensor([1.0, 2.0])))
        assert type(result) is Pair and result.first.tolist() == [1.0, 2.0] and result.second.tolist() == [float(i)]
    assert len(swapped.programs) == 1


def test_results_put_together_from_computed_parts(c_only: str) -> None:
    def fn(x: mw.Tensor) -> list[mw.Tensor]:
        return [
            mw.stack([x.sum(0), x.mean(0)]), mw.concatenate([x * 2, x + 1]), mw.concatenate([x * 2, x + 1], 1),
            mw.pad(x * 2, ((1, 1), (0, 0))), mw.concatenate([x * 3]),
        ]  # fmt: skip

    same_as_eager(fn, mw.tensor(numbers(4, 3)))


def test_state_that_is_returned_is_still_state(c_only: str) -> None:
    s = mw.tensor([0.0, 0.0])

    @mw.capture
    def fn(x: mw.Tensor) -> mw.Tensor:
        s.assign(x * 2)
        return s

    for i in range(6):
        assert fn(mw.tensor([float(i), 1.0])).tolist() == s.tolist() == [2.0 * i, 2.0]


def test_an_input_that_takes_part_by_itself_too(c_only: str) -> None:
    w = mw.tensor([1.0], requires_grad=True)
    with pytest.raises(CaptureError, match="by itself"):
        mw.capture(lambda x: mw.grad((w * x).sum(), w))(w)
    with pytest.raises(CaptureError, match="for an input"):
        mw.capture(lambda x: (x * 2).sum().backward())(w)


def test_dicts_are_not_tuples(c_only: str) -> None:
    fn = mw.capture(lambda a: (a["a"] if isinstance(a, dict) else a[1][1]) * (2 if isinstance(a, dict) else 3))
    x = mw.tensor([1.0])
    for _ in range(4):
        assert (fn({"a": x}).item(), fn(("dict", ("a", x))).item()) == (2.0, 3.0)


def test_nested_functions_get_tensors(c_only: str) -> None:
    inner = mw.capture(lambda a: a.exp())
    same_as_eager(lambda x: inner(np.ones(2, np.float32)) * x, mw.tensor([1.0, 2.0]))


def test_results_whose_memory_was_used_before(c_only: str) -> None:
    w = mw.tensor(numbers(6), requires_grad=True)
    same_as_eager(lambda x: mw.pad(x.exp(), ((0, 0),)), mw.tensor(numbers(5)))
    same_as_eager(lambda x: mw.grad((w[:] * x).sum(), w), mw.tensor(numbers(6)))


def test_programs_check_what_they_are_given(c_only: str) -> None:
    program = same_as_eager(lambda x: x * 2, mw.tensor(numbers(3))).programs[0]
    for wrong in (numbers(1), numbers(3, dtype="float64"), numbers(1, 3)):
        with pytest.raises(ValueError, match="shape"):
            program.run([wrong])
        with pytest.raises(ValueError, match="shape"):
            program.bind([numbers(3)], [wrong])
    with pytest.raises(ValueError, match="contiguous"):
        program.run([numbers(3)], [numbers(6)[::2]])
    out = np.empty(3, np.float32)
    program.bind([numbers(3)], [out])()
    assert np.array_equal(out, numbers(3) * 2)


def test_weights_as_inputs_of_what_changes_them(c_only: str) -> None:
    w, rule = mw.tensor([1.0], requires_grad=True), mw.optimizers.SGD(0.1)

    @mw.capture
    def fn(x: mw.Tensor) -> mw.Tensor:
        loss = (w * x).sum()
        rule.apply([mw.grad(loss, w)], [w])
        return loss

    with pytest.raises(CaptureError, match="shares its memory"):
        fn(w.data)


def test_results_of_operations_go_into_a_captured_function_in_another(c_only: str) -> None:
    inner, w = mw.capture(lambda a: a.exp()), mw.tensor([0.5], requires_grad=True)
    outer, x = mw.capture(lambda x: mw.grad(inner(x * w).sum(), w)), mw.tensor([1.0])
    for _ in range(4):
        assert bits(outer(x)) == bits(mw.grad((x * w).exp().sum(), w))


def test_lists_of_numbers_are_arrays_however_nested(c_only: str) -> None:
    captured = mw.capture(lambda x: x * 2)
    for _ in range(4):
        np.testing.assert_array_equal(captured([[1.0, 2.0], [3.0, 4.0]]).numpy(), [[2, 4], [6, 8]])
        np.testing.assert_array_equal(captured([1.0, 2.0]).numpy(), [2, 4])


def test_a_result_that_is_nan_by_name(c_only: str) -> None:
    captured = mw.capture(lambda x: (x * 2, float("nan")))
    for _ in range(4):
        doubled, nothing = captured(mw.tensor([1.0]))
        assert doubled.item() == 2 and np.isnan(nothing)


def test_a_read_only_weight_that_is_replaced_is_noticed(c_only: str) -> None:
    """JAX's arrays, and what is broadcast, may not be written to."""
    w = mw.Tensor(np.broadcast_to(np.float32(3), (2,)))
    scaled, x = mw.capture(lambda x: x * w), np.ones(2, np.float32)
    for _ in range(3):
        assert scaled(x).tolist() == [3.0, 3.0]
    w.data = np.array([3.0, 4.0], np.float32)
    assert [scaled(x).tolist() for _ in range(3)] == [[3.0, 4.0]] * 3


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("flag", [1, "yes", np.True_])
def test_flags_that_are_true_but_not_the_word_itself(flag: Any, c_only: str) -> None:
    v, w = mw.tensor([1.0, 2.0], requires_grad=flag), mw.tensor([1.0, 2.0])
    w.requires_grad = flag
    product = mw.capture(lambda x: x * v * w)
    assert [product(np.ones(2, np.float32)).tolist() for _ in range(5)] == [[1.0, 4.0]] * 5


def test_labels_that_need_a_conversion_are_refused_in_words(c_only: str) -> None:
    loss = mw.losses.SparseCategoricalCrossentropy(from_logits=True)
    fn, logits = mw.capture(lambda x, y: loss(y, x)), np.ones((2, 3), np.float32)
    with pytest.raises(CaptureError, match="Pass labels as int64"):
        fn(logits, np.array([0, 1], np.int32))
    assert np.isfinite(fn(logits, np.array([0, 1])).item())


# ---- choosing by integers that a function is given or computes -----------------------------------------------------------


def test_indices_are_inputs_like_others(c_only: str) -> None:
    rng = np.random.default_rng(0)
    w = mw.tensor(rng.normal(size=(4, 3)), dtype="float32", requires_grad=True)

    def choose(x: mw.Tensor, actions: mw.Tensor) -> Any:
        logp = (x @ w).log_softmax()
        z = logp[np.arange(2), actions].sum() + logp[:, actions].mean() + 2 * logp[actions].sum() + logp[0, actions].sum()
        z = z + logp[np.arange(2), logp.argmax(1)].sum() + (actions[actions] * 2).sum()
        return z, mw.grad(z, w)

    captured = mw.capture(choose)
    for _ in range(5):
        x, actions = rng.normal(size=(2, 4)).astype("f4"), rng.integers(-2, 2, 2)
        received, expected = captured(x, actions), choose(mw.tensor(x), mw.tensor(actions))
        assert [t.tolist() for t in received] == [t.tolist() for t in expected]
    assert len(captured.programs) == 1
    for bad in ([0, 2], [-3, 0]):
        with pytest.raises((IndexError, ValueError), match="indices from"):
            captured(x, np.array(bad))


@pytest.mark.parametrize("make", [
    lambda x: [x + 1, [x * 2]], lambda x: ([x, x * 2], []), lambda x: ((x * 1,),), lambda x: [{"a": x * 2}], lambda x: (),
    lambda x: {"a": [x], "b": (x * 2, None)}, lambda x: [[x * 1]], lambda x: defaultdict(list, a=x * 2),
])  # fmt: skip
def test_results_keep_their_nest(make: Any, setting: str) -> None:
    captured, x = mw.capture(make), mw.tensor([1.0, 2.0])
    for _ in range(4):
        found, expected = captured(x), make(x)
        assert type(found) is type(expected) and str(found) == str(expected).replace("<class 'list'>", "None")


def test_one_tensor_as_two_arguments(c_only: str) -> None:
    slope = mw.capture(lambda x, y: mw.grad((x * y).sum(), x))
    a, b = (mw.tensor([float(i), 2.0], requires_grad=True) for i in (1, 3))
    for _ in range(4):
        assert slope(a, b).tolist() == [3.0, 2.0]
        with pytest.raises(CaptureError, match="one as two"):
            slope(a, a)
    twice = mw.capture(lambda x, y: x * y)
    for _ in range(4):
        assert twice(a.detach(), a.detach()).tolist() == [1.0, 4.0]


def test_a_captured_function_is_part_of_the_one_that_calls_it(setting: str) -> None:
    inner = mw.capture(lambda x: x * x)
    x = mw.tensor([1.0, 2.0], requires_grad=True)
    for _ in range(3):
        inner(x)
    outer = mw.capture(lambda x: mw.grad((inner(x) * x).sum(), x), check=setting != "numpy")
    assert [outer(x).tolist() for _ in range(4)] == [[3.0, 12.0]] * 4


def test_arrays_of_inputs_written_to(c_only: str) -> None:
    def fn(x: mw.Tensor) -> mw.Tensor:
        x.data[0] = 5.0
        return x * 1

    a = np.zeros(2, np.float32)
    with pytest.raises(CaptureError, match="only read"):
        mw.capture(fn)(a)
    assert a.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("values", [(1, True), (1, 1.0), (0.0, -0.0)])
def test_numbers_among_results_are_the_same_to_the_type_and_the_sign(values: Any, c_only: str) -> None:
    following = itertools.cycle(values)
    captured = mw.capture(lambda x: (x * 1, next(following)))
    with pytest.raises(CaptureError, match="one time and"):
        for _ in range(8):
            captured(np.ones(1, np.float32))
