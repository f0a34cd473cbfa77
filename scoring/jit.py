"""How functions are compiled: those Python calls, and those that only compiled code calls.

An *entry* can be called from Python and is kept on disk. A *part* is compiled into the entries that use it; it has no
door of its own for Python (`part.py_func` is the plain function), which saves most of its compile time: such a door
unpacks every array of a plan and of a row.

Neither counts references: their arrays belong to the caller, who outlives the call. With counting, every call of a part
touches the counters of all sixty arrays of plan, rows and work twice, which took nine tenths of the kernel's time. Hence
an entry or a part cannot make arrays; an *allocating* part can.
"""

from typing import Final

from numba import njit

entry: Final = njit(cache=True, _nrt=False)
part: Final = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False)
allocating_part: Final = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=True)
