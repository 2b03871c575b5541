"""Positions of elements that are not zero."""

from rtensor.cuda._compact import Ranks
from rtensor.cuda._registry import kernel


@kernel("nonzero")
def nonzero(args):
    return [Ranks(args[0].contiguous()).positions()]
