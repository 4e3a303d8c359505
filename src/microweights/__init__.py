"""microweights: a deep-learning library small enough to read, with its hot path in C."""

from . import ops
from .graph import grad, no_grad
from .gradcheck import gradcheck
from .kernels.machine import set_num_threads, show_config
from .ops import concatenate, maximum, minimum, pad, stack, where
from .scalar import Value, weighted_sum
from .tensor import Tensor, from_dlpack, tensor

__version__ = "0.1.0"
