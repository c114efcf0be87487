"""A function of rows gives the same in chunks, and hardly any row is worked out in vain."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from insiren.simulate.chunks import in_chunks

ROWS = jnp.arange(23.0).reshape(-1, 1)


def test_chunks_give_what_the_whole_gives():
    whole = in_chunks(lambda x: (x**2, x[:, 0]), 100, ROWS)
    for size in (1, 5, 23):
        parts = in_chunks(lambda x: (x**2, x[:, 0]), size, ROWS)
        for one, other in zip(parts, whole, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_row_more_than_a_chunk_does_not_cost_two_chunks():
    shapes = []

    def seen(x: jax.Array) -> jax.Array:
        shapes.append(x.shape)
        return x

    np.testing.assert_array_equal(in_chunks(seen, 22, ROWS), ROWS)
    assert set(shapes) == {(12, 1)}
