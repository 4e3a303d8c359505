"""Floor 1: the kernels, in C and in NumPy, and the one door through which they are called.

`door.py` is what the floors above may call, a file for each family checks and calls, `plans.py` holds what these share,
`machine.py` knows the compiled library and this machine, `header.py` the list of kernels, `reference.py` the NumPy twins.
"""
