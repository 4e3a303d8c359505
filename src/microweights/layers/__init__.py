"""The parts of a network, in a file for each family, which lists its public names."""

from . import base as _base
from . import conv as _conv
from . import core as _core
from . import merge as _merge
from . import norm as _norm
from . import pool as _pool
from . import reshaping as _reshaping
from .base import *
from .conv import *
from .core import *
from .merge import *
from .norm import *
from .pool import *
from .reshaping import *

__all__: list[str] = []
for _family in (_base, _conv, _core, _merge, _norm, _pool, _reshaping):
    __all__ += _family.__all__


def __dir__() -> list[str]:
    return sorted(__all__)
