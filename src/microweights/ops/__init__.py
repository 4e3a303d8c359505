"""Every operation, defined once: a class with its formula, forward and backward, in the table `OPS`.

They stand in a file for each family, which lists its public names. The functions there check arguments and choose the class;
:class:`microweights.Tensor` and the top-level functions call them.
"""

from . import base as _base
from . import conv as _conv
from . import elementwise as _elementwise
from . import index as _index
from . import matmul as _matmul
from . import norm as _norm
from . import pool as _pool
from . import reduce as _reduce
from . import shape as _shape
from . import softmax as _softmax
from . import warp as _warp
from .base import *
from .base import axes_of as axes_of
from .base import one_axis as one_axis
from .base import with_ellipsis as with_ellipsis
from .conv import *
from .elementwise import *
from .elementwise import astype as astype
from .elementwise import compare as compare
from .index import *
from .index import index as index
from .index import plain_index as plain_index
from .matmul import *
from .norm import *
from .pool import *
from .reduce import *
from .reduce import arg_reduce as arg_reduce
from .shape import *
from .shape import along_last_axis as along_last_axis
from .shape import broadcast_to as broadcast_to
from .shape import reshape as reshape
from .shape import transpose as transpose
from .softmax import *
from .warp import *

__all__: list[str] = []
for _family in (_base, _conv, _elementwise, _index, _matmul, _norm, _pool, _reduce, _shape, _softmax, _warp):
    __all__ += _family.__all__


def __dir__() -> list[str]:
    return sorted(__all__)
