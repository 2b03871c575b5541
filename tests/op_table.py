"""One row for each op: sample arguments, and NumPy's function where it has one.

A row's key is the op's name in the table (`max/dim` is the overload `dim` of `max`). The generic tests
run every row forward, against finite differences, in place, with `out=`, and on strided inputs.
"""

import rows_core  # noqa: F401
import rows_create  # noqa: F401
import rows_linalg  # noqa: F401
import rows_nn  # noqa: F401
import rows_pointwise  # noqa: F401
import rows_special  # noqa: F401
from rows import ROWS, Row, key

__all__ = ["ROWS", "Row", "key"]
