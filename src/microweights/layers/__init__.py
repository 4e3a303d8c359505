"""The parts of a network, in a file for each family, which lists its public names."""

from . import activation as _activation
from . import augmentation as _augmentation
from . import base as _base
from . import conv as _conv
from . import core as _core
from . import merge as _merge
from . import noise as _noise
from . import norm as _norm
from . import pool as _pool
from . import preprocessing as _preprocessing
from . import reshaping as _reshaping
from .activation import *
from .augmentation import *
from .base import *
from .conv import *
from .core import *
from .merge import *
from .noise import *
from .norm import *
from .pool import *
from .preprocessing import *
from .reshaping import *

__all__: list[str] = []
for _family in (_activation, _augmentation, _base, _conv, _core, _merge, _noise, _norm, _pool, _preprocessing, _reshaping):
    __all__ += _family.__all__


def __dir__() -> list[str]:
    return sorted(__all__)
