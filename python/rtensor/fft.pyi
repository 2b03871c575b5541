"""Written by tools/stubs.py from the op table; do not edit."""

import builtins as _b
from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

from rtensor._C import Tensor, _DType, _Int, _Number, device, dtype, layout, memory_format


