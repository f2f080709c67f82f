"""What the C library does with memory that was freed. Standard library alone."""

from __future__ import annotations

import ctypes
import os

# Of <malloc.h>.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_KEPT_BYTES = 1 << 30
# Of an arena of a thread: as large as glibc makes them, or it would unmap and map whole ones.
_ARENA_BYTES = 64 << 20
_VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_THRESHOLD_")


def keep_freed_memory() -> bool:
    """Lets glibc keep the memory that this process frees for its next allocations, instead of handing it back at once.

    A clip of 32 frames goes through some 30 MB of buffers on its way into a batch. Handed back and asked for again,
    each page of them is cleared anew, which takes up to a quarter of a clip's time (`tools/bench_data.py` measures
    both). The process keeps what it needed at its peak, and over hours a little more. The command line calls this for
    itself where it reads records; in a program of your own call it before the first batch.

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
    # Half an arena is the most that glibc before 2.35 takes. The others end its own search for a threshold, so they are
    # left alone where this one cannot be set.
    if not (mallopt(_MMAP_THRESHOLD, _KEPT_BYTES) or mallopt(_MMAP_THRESHOLD, _ARENA_BYTES // 2)):
        return False
    return all([mallopt(_TRIM_THRESHOLD, _KEPT_BYTES), mallopt(_TOP_PAD, _ARENA_BYTES)])
