"""The door: every number of a training step is computed by a kernel, and every kernel is reached from here.

The functions take and return NumPy arrays. Each first looks up its *plan*: the kernel, and what must be known about shapes,
strides and types before C is entered. A plan is checked and made once and then found in a dictionary, so that a training
step pays for its checks only the first time.

They stand in a file for each family, which lists those for the floors above in its `__all__`; what they share is in plans.py.
"""

from .conv import *
from .elementwise import *
from .index import *
from .matmul import *
from .norm import *
from .plans import *
from .pool import *
from .random import *
from .reduce import *
from .softmax import *
from .tape import *
from .update import *
from .warp import *
