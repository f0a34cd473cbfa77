"""How functions are compiled, and how they are handed many arrays at once.

An *entry* can be called from Python and is kept on disk. A *part* is compiled into the entries that use it; it has no
door of its own for Python (`part.py_func` is the plain function), which saves half of its compile time. None raises where
a number is divided by 0, as in numpy: whoever divides looks first.

The arrays of a plan, of a partition's rows and of the scratch room are named tuples in Python. Compiled code takes them
by *handle*: one pointer to a table of their addresses and shapes, whose attributes are the arrays. As tuples, every call
would hand over some 60 arrays and count the references to each: that made an evaluation cost a hundred times its
arithmetic, and took twice as long to compile.
"""

from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import config, njit, typeof, types
from numba.core import cgutils
from numba.core.typing.templates import AttributeTemplate
from numba.extending import (
    NativeValue,
    infer_getattr,
    intrinsic,
    lower_getattr_generic,
    models,
    register_model,
    unbox,
)
from numba.np import arrayobj


def _index_as_given(context: Any, builder: Any, kind: Any, index: Any, _size: Any) -> Any:
    """Compile an index as it stands."""
    return context.cast(builder, index, kind, types.intp)


arrayobj.fix_integer_index = _index_as_given
"""Kernels never count from an array's end, so a negative index needs no look at the array's length: a fifth of an
evaluation went into those. A test holds kernels to it."""

entry: Final = njit(cache=True, error_model="numpy")
entry_without_gil: Final = njit(cache=True, error_model="numpy", nogil=True)
"""An entry during which other threads may run Python: the caller sees to it that nobody touches its arrays."""

part: Final = njit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
inlined: Final = njit(error_model="numpy", forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""A part of every evaluation, copied to where it is called: a part that stands alone finds each array's place anew."""

WORD: Final = ir.IntType(64)
IS_COMPILED: Final = not config.DISABLE_JIT


class HandleType(types.Type):
    """Compiled type of a handle: the names and types of the arrays it leads to.

    Parameters
    ----------
    fields : tuple of (name, numba array type)
    """

    def __init__(self, fields: tuple[tuple[str, Any], ...]) -> None:
        self.fields = fields
        super().__init__(name=f"Handle({', '.join(f'{name}: {kind}' for name, kind in fields)})")

    def place(self, name: str) -> tuple[int, Any]:
        """Return where an array's description begins in the table, in words, and the array's type."""
        start = 0
        for own, kind in self.fields:
            if own == name:
                return start, kind
            start += 3 + 2 * kind.ndim
        raise KeyError(name)


class Handle:
    """What Python passes to compiled functions in place of a named tuple of arrays; it keeps the arrays alive.

    The table holds for each array: number of entries, bytes of an entry, address, shape, strides.
    """

    def __init__(self, arrays: Any) -> None:
        self.arrays = arrays
        # By this name numba's dispatcher finds the type by itself, in a third of the time of asking Python for it.
        self._numba_type_ = HandleType(tuple((name, typeof(array)) for name, array in arrays._asdict().items()))
        words: list[int] = []
        for array in arrays:
            words += [array.size, array.itemsize, array.ctypes.data, *array.shape, *array.strides]
        self.table = np.array(words, np.int64)
        self.address = int(self.table.ctypes.data)


def handle(arrays: Any) -> Any:
    """Return the handle of a named tuple of arrays; where nothing is compiled, the tuple serves as its own."""
    return Handle(arrays) if IS_COMPILED else arrays


@register_model(HandleType)
class _HandleModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: HandleType) -> None:
        super().__init__(manager, kind, WORD.as_pointer())


@unbox(HandleType)
def _unbox_handle(_: HandleType, value: Any, c: Any) -> Any:
    address = c.pyapi.object_getattr_string(value, "address")
    pointer = c.builder.inttoptr(c.pyapi.long_as_longlong(address), WORD.as_pointer())
    c.pyapi.decref(address)
    return NativeValue(pointer)


@infer_getattr
class _HandleAttributes(AttributeTemplate):
    key = HandleType

    def generic_resolve(self, kind: HandleType, name: str) -> Any:
        return dict(kind.fields).get(name)


@lower_getattr_generic(HandleType)
def _load_array(context: Any, builder: Any, kind: HandleType, pointer: Any, name: str) -> Any:
    """Build the array's description from the table; it owns nothing, so no reference is counted."""
    start, array_kind = kind.place(name)

    def word(k: int) -> Any:
        loaded = builder.load(builder.gep(pointer, [WORD(start + k)]))
        # The table never changes while a function runs, so one load serves all of it.
        loaded.set_metadata("invariant.load", builder.module.add_metadata([]))
        return loaded

    array = context.make_array(array_kind)(context, builder)
    array.meminfo = cgutils.get_null_value(array.meminfo.type)
    array.parent = cgutils.get_null_value(array.parent.type)
    array.nitems = word(0)
    array.itemsize = word(1)
    array.data = builder.inttoptr(word(2), array.data.type)
    array.shape = cgutils.pack_array(builder, [word(3 + k) for k in range(array_kind.ndim)])
    array.strides = cgutils.pack_array(builder, [word(3 + array_kind.ndim + k) for k in range(array_kind.ndim)])
    return array._getvalue()  # noqa: SLF001 - numba's own name for it


@intrinsic
def _prefetch(_typing: Any, _array: Any, _row: Any, _column: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = builder.ptrtoint(array.data, WORD)
        for index, stride in zip(arguments[1:], cgutils.unpack_tuple(builder, array.strides), strict=False):
            address = builder.add(address, builder.mul(index, stride))
        byte, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        to_read, keep_long, data = flag(0), flag(3), flag(1)
        builder.call(function, [builder.inttoptr(address, byte), to_read, keep_long, data])
        return context.get_dummy_value()

    return types.void(_array, types.intp, types.intp), generate


@part
def prefetch(array: Any, row: int, column: int) -> None:
    """Begin to fetch ``array[row, column]``, or what begins there: 64 bytes are there some 100 ns later. Changes nothing."""
    if IS_COMPILED:
        _prefetch(array, row, column)
