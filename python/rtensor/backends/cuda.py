"""How matrix products are computed on GPUs."""

from rtensor._settings import get_float32_matmul_precision, set_float32_matmul_precision


class _MatrixProducts:
    """Switches of matrix products; `set_float32_matmul_precision` is another name of the same one."""

    @property
    def allow_tf32(self) -> bool:
        """Whether float32 operands may be rounded to TensorFloat-32, which is many times faster."""
        return get_float32_matmul_precision() != "highest"

    @allow_tf32.setter
    def allow_tf32(self, allow: bool) -> None:
        set_float32_matmul_precision("high" if allow else "highest")


matmul = _MatrixProducts()


def is_built() -> bool:
    """Whether this build can use GPUs: with CuPy every build can."""
    return True
