"""Apple's GPUs: not supported."""


def is_available() -> bool:
    """Whether tensors can be on such a GPU."""
    return False


def is_built() -> bool:
    """Whether this build can use such a GPU."""
    return False
