"""Products of small matrices inside compiled loops, ten times as fast as three nested loops.

Of those the compiler keeps no sum in a register, since it cannot tell that the matrices do not overlap.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from recengine.models.compiled import compiled

HEIGHT, WIDTH = 4, 16
"""Of a tile of the product: as many sums as the registers of most CPUs hold; twice as many halve the speed of AVX2."""


@compiled
def multiply(left, right, out):  # type: ignore[no-untyped-def] # compiled for the types that are passed
    """Write left (M, L) times right (L, N), float32, to `out` (M, N): M a multiple of `HEIGHT`, N of `WIDTH`."""
    for column in range(0, out.shape[1], WIDTH):
        for row in range(0, out.shape[0], HEIGHT):
            multiply_tile(left, right, out, row, column)  # type: ignore[call-arg] # numba passes the first


@intrinsic
def multiply_tile(_context, left, right, out, row, column):  # type: ignore[no-untyped-def]
    """Write `out[row : row + HEIGHT, column : column + WIDTH]` alone. Nothing checks the bounds."""
    return types.void(left, right, out, row, column), _generate_tile


def _generate_tile(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Write the instructions: the rows of `right` are added up one after another, and then the sums are written."""
    single, whole = ir.FloatType(), ir.IntType(64)
    line = ir.VectorType(single, WIDTH)
    left, right, out = (
        context.make_array(kind)(context, builder, value)
        for kind, value in zip(signature.args[:3], arguments[:3], strict=True)
    )
    first, column = arguments[3:]

    def address(array: Any, row: Any, column: Any, kind: Any) -> Any:
        by_row, by_column = cgutils.unpack_tuple(builder, array.strides)
        step = builder.add(builder.mul(row, by_row), builder.mul(column, by_column))
        byte = builder.gep(builder.bitcast(array.data, ir.IntType(8).as_pointer()), [step])
        return builder.bitcast(byte, kind.as_pointer())

    rows = [address(out, builder.add(first, whole(i)), column, line) for i in range(HEIGHT)]
    sums = [cgutils.alloca_once_value(builder, ir.Constant(line, [0.0] * WIDTH)) for _ in rows]
    unset, spread = ir.Constant(line, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
    with cgutils.for_range(builder, cgutils.unpack_tuple(builder, right.shape)[0]) as loop:
        added = builder.load(address(right, loop.index, column, line), align=4)
        for i in range(HEIGHT):
            factor = builder.load(address(left, builder.add(first, whole(i)), loop.index, single))
            factor = builder.insert_element(unset, factor, ir.IntType(32)(0))
            factor = builder.shuffle_vector(factor, unset, spread)
            product = builder.fmul(factor, added, flags=("contract",))
            builder.store(builder.fadd(builder.load(sums[i]), product, flags=("contract",)), sums[i])
    for row, total in zip(rows, sums, strict=True):
        builder.store(builder.load(total), row, align=4)
    return context.get_dummy_value()
