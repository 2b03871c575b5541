"""Switches of convolutions on GPUs, under the name of the library that PyTorch uses for them."""

#: Whether float32 convolutions may round their operands to TensorFloat-32.
allow_tf32 = True
#: Known for programs that set them; the kernels here do not choose by them.
enabled = True
benchmark = False
deterministic = False


def is_available() -> bool:
    """Whether cuDNN is used."""
    return False


def version() -> None:
    """The version of cuDNN: there is none."""
