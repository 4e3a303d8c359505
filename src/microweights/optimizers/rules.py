"""The update rules: a class each, with the formula as its docstring and the kernel of csrc/update.c as its `rule`."""

from __future__ import annotations

from typing import Any

from .base import LearningRate, Optimizer, Rate, check_not_negative

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Lion", "Nadam", "RMSprop"]


class SGD(Optimizer):
    """w -= lr g; with momentum v = momentum v - lr g, w += v; with Nesterov's w += momentum v - lr g.

    Examples
    --------
    >>> import microweights as mw
    >>> w = mw.tensor([1.0, -2.0], requires_grad=True)
    >>> mw.optimizers.SGD(learning_rate=0.5).apply([w.detach() * 1], [w])
    >>> w.tolist()
    [0.5, -1.0]
    """

    rule = "sgd"
    momentum, nesterov = Rate(below=1), Rate(kind=bool)

    def __init__(
        self, learning_rate: LearningRate = 0.01, momentum: float = 0.0, nesterov: bool = False,
        weight_decay: float | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay, **options)


class Adam(Optimizer):
    """w -= lr √(1 - beta_2ᵗ) / (1 - beta_1ᵗ) m / (√v + epsilon), with running means m of g and v of g² by beta_1 and beta_2.

    This is the form at the end of section 2 of Kingma & Ba (2015), with the corrections of both means in the rate. `amsgrad`
    divides by the root of the largest v so far  (Reddi et al. 2018).
    """

    rule = "adam"
    beta_1, beta_2, epsilon, amsgrad = Rate(below=1), Rate(below=1), Rate(), Rate(kind=bool)

    def __init__(
        self, learning_rate: LearningRate = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7,
        amsgrad: bool = False, weight_decay: float | None = None, **options: Any,
    ) -> None:  # fmt: skip
        rates: dict[str, Any] = {"beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon, "amsgrad": amsgrad}
        super().__init__(learning_rate, weight_decay=weight_decay, **rates, **options)


class AdamW(Adam):
    """Adam with decoupled weight decay  (Loshchilov & Hutter 2019)."""

    weight_decay = Rate()

    def __init__(
        self, learning_rate: LearningRate = 0.001, weight_decay: float = 0.004, beta_1: float = 0.9, beta_2: float = 0.999,
        epsilon: float = 1e-7, amsgrad: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay, **options)


class Adamax(Optimizer):
    """w -= lr / (1 - beta_1ᵗ) m / (u + epsilon), with the running mean m of g by beta_1 and u = max(beta_2 u, |g|).

    Section 7.1 of Kingma & Ba (2015).
    """

    rule = "adamax"
    beta_1, beta_2, epsilon = Rate(below=1), Rate(below=1), Rate()

    def __init__(
        self, learning_rate: LearningRate = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7,
        weight_decay: float | None = None, **options: Any,
    ) -> None:  # fmt: skip
        rates: dict[str, Any] = {"beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon}
        super().__init__(learning_rate, weight_decay=weight_decay, **rates, **options)


class Nadam(Adamax):
    """Adam with Nesterov's momentum: its m is the one that the next update would begin with  (Dozat 2016)."""

    rule = "nadam"


class Adadelta(Optimizer):
    """w -= lr √(b + epsilon) / √(a + epsilon) g, with running means a of g² and b of such steps squared by rho.

    Zeiler (2012).
    """

    rule = "adadelta"
    rho, epsilon = Rate(below=1), Rate()

    def __init__(
        self, learning_rate: LearningRate = 0.001, rho: float = 0.95, epsilon: float = 1e-7,
        weight_decay: float | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, weight_decay=weight_decay, rho=rho, epsilon=epsilon, **options)


class Lion(Optimizer):
    """w -= lr sign(beta_1 m + (1 - beta_1) g), with the running mean m of g by beta_2  (Chen et al. 2023)."""

    rule = "lion"
    beta_1, beta_2 = Rate(below=1), Rate(below=1)

    def __init__(
        self, learning_rate: LearningRate = 0.001, beta_1: float = 0.9, beta_2: float = 0.99,
        weight_decay: float | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, weight_decay=weight_decay, beta_1=beta_1, beta_2=beta_2, **options)


class RMSprop(Optimizer):
    """w -= lr g / √(v + epsilon), with the running mean v of g² by rho  (Hinton 2012).

    `centered` takes the square of the running mean of g off v  (Graves 2013); with `momentum` the steps add up as for SGD.
    """

    rule = "rmsprop"
    rho, momentum, epsilon, centered = Rate(below=1), Rate(below=1), Rate(), Rate(kind=bool)

    def __init__(
        self, learning_rate: LearningRate = 0.001, rho: float = 0.9, momentum: float = 0.0, epsilon: float = 1e-7,
        centered: bool = False, weight_decay: float | None = None, **options: Any,
    ) -> None:  # fmt: skip
        rates: dict[str, Any] = {"rho": rho, "momentum": momentum, "epsilon": epsilon, "centered": centered}
        super().__init__(learning_rate, weight_decay=weight_decay, **rates, **options)


class Adagrad(Optimizer):
    """w -= lr g / √(Σ g² + epsilon), over all gradients so far  (Duchi et al. 2011)."""

    rule = "adagrad"
    epsilon = Rate()

    def __init__(
        self, learning_rate: LearningRate = 0.001, initial_accumulator_value: float = 0.1, epsilon: float = 1e-7,
        weight_decay: float | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, weight_decay=weight_decay, epsilon=epsilon, **options)
        self.initial_accumulator_value = initial_accumulator_value

    @property
    def initial_accumulator_value(self) -> float:
        """Where Σ g² starts, for variables to come."""
        return self.initial_slot_value

    @initial_accumulator_value.setter
    def initial_accumulator_value(self, value: float) -> None:
        check_not_negative("initial_accumulator_value", value)
        self.initial_slot_value = float(value)


def __dir__() -> list[str]:
    return sorted(__all__)
