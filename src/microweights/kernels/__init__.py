"""Floor 1: the kernels, in C and in NumPy, and the one door through which they are called.

`door.py` checks and calls, `machine.py` knows the compiled library and this machine, `reference.py` holds the NumPy twins.
"""
