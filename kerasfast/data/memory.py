"""What the C library does with memory that was freed. Standard library alone."""

from __future__ import annotations

import ctypes
import os

# Of <malloc.h>.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 1 << 30
_VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")


def keep_freed_memory() -> bool:
    """Lets glibc keep the memory that this process frees for its next allocations, instead of handing it back at once.

    A clip of 32 frames goes through some 30 MB of buffers on its way into a batch. Handed back and asked for again,
    each page of them is cleared anew: on two virtual cores that took 13 of the 44 ms of a core that a clip costs
    (tools/bench_data.py measures both). The process keeps what it needed at its peak, up to 1 GiB more than it uses.
    The command line calls this for itself; in a program of your own call it before the first batch.

    Returns:
        Whether it could: False where the C library is not glibc, or where the environment says otherwise.
    """
    if any(name in os.environ for name in _VARIABLES):
        return False
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 - musl has a mallopt that does nothing, and not this
        mallopt = library.mallopt
    except (AttributeError, OSError, TypeError):  # another C library, or none to be had by this call (Windows)
        return False
    return all([mallopt(_TRIM_THRESHOLD, _KEPT_BYTES), mallopt(_MMAP_THRESHOLD, _KEPT_BYTES)])
