"""A function of many rows, some rows at a time: what bounds the memory and keeps the work in the caches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array


def in_chunks(function: Callable[..., Any], size: int, *rows: Array) -> Any:
    """A function of rows, applied to at most `size` of them at a time.

    The chunks are of one shape, which is compiled once, and as even as they can be; the last
    begins early enough to end with the rows. Each is written into its place: results that
    were stacked and then put in order would be held twice, once more for derivatives.
    """
    count = rows[0].shape[0]
    if count <= size:
        return function(*rows)
    chunks = -(-count // size)
    even = -(-count // chunks)
    shapes = jax.eval_shape(function, *(jax.ShapeDtypeStruct((even, *x.shape[1:]), x.dtype) for x in rows))

    def add(chunk: Array, found: Any) -> Any:
        start = jnp.minimum(chunk * even, count - even)
        new = function(*(jax.lax.dynamic_slice_in_dim(x, start, even) for x in rows))
        return jax.tree.map(lambda old, part: jax.lax.dynamic_update_slice_in_dim(old, part, start, 0), found, new)

    empty = jax.tree.map(lambda s: jnp.zeros((count, *s.shape[1:]), s.dtype), shapes)
    return jax.lax.fori_loop(0, chunks, add, empty)
