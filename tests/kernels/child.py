"""Work in a child process, for what may crash or hang."""

import faulthandler
import os
import select
import signal
from collections.abc import Callable

PYTHON_ERROR, HUNG = 9 << 8, signal.SIGKILL


def survivor(work: Callable[[Callable[[str], None]], None], seconds: float = 60) -> tuple[int, str]:
    """How a forked child that did the work ended, and the last word it said.

    The status is 0 if all went well, `PYTHON_ERROR` if it raised, and `HUNG` if it said nothing for so many seconds.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        faulthandler.disable()
        status = PYTHON_ERROR >> 8
        try:
            work(lambda word: os.write(write, (word + "\n").encode()) and None)
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    said = b""
    while True:
        if not select.select([read], [], [], seconds)[0]:
            os.kill(child, signal.SIGKILL)
        more = os.read(read, 65536)  # nothing, once the child has ended
        if not more:
            break
        said += more
    os.close(read)
    return os.waitpid(child, 0)[1], said.decode().splitlines()[-1] if said else ""
