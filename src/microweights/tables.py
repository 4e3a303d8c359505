"""Tables of pandas as arrays of numbers, column by column, without importing pandas."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import explain

NUMBERS = "fiub"  # kinds of NumPy types: floats, integers, unsigned ones, booleans


def is_table(data: Any) -> bool:
    """Whether it is a DataFrame or a Series."""
    return hasattr(data, "iloc")


def array_of(table: Any) -> Any:
    """The numbers of a DataFrame or a Series, of the type that holds all columns; what is missing is NaN.

    Raises
    ------
    TypeError
        If a column holds no numbers; the message names it.
    """
    if table.ndim == 1:
        return _numbers(table, repr(table.name))
    if len({*table.dtypes}) == 1 and isinstance(table.dtypes.iloc[0], np.dtype) and table.dtypes.iloc[0].kind in NUMBERS:
        return np.asarray(table)  # one block of memory
    columns = [_numbers(column, repr(name)) for name, column in table.items()]
    return np.stack(columns, axis=1, dtype=np.result_type(*columns)) if columns else np.empty(table.shape)


def _numbers(column: Any, name: str) -> Any:
    kind = getattr(column.dtype, "kind", "O")
    if kind in NUMBERS and column.isna().any():
        return column.to_numpy(column.dtype if isinstance(column.dtype, np.dtype) else np.float64, na_value=np.nan)
    if kind in NUMBERS:
        return np.asarray(column, getattr(column.dtype, "numpy_dtype", None))
    try:
        values = np.array(column.tolist())  # numbers as Python's objects
    except ValueError:  # rows of several lengths
        values = np.array(None)
    if values.dtype.kind not in NUMBERS:
        found = next((repr(v) for v in column if not isinstance(v, (int, float))), "nothing")
        remedy = "Encode texts and categories as numbers, as pandas.get_dummies does, or leave the column out."
        raise TypeError(explain("columns of numbers", f"{found} in column {name} of {column.dtype}", remedy))
    return values
