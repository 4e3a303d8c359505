"""`python -m microweights` is `microweights`."""

import sys

from .cli import main

sys.exit(main())
