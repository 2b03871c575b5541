"""Keeping the elements that are set, in order: positions, selections, runs."""

from rtensor import _C
from rtensor._C import Tensor
from rtensor.cuda import _failures
from rtensor.cuda._source import Source, blocks
from rtensor.cuda._walk import BYTES, NONE, argument

_COMPACT = Source("compact.cu")
_THREADS = 256
_TILE = 16 * _THREADS
_SCANNING = 1024


class Ranks:
    """How many elements are set before each one.

    Parameters
    ----------
    mask : Tensor
        What is not zero is set; row-major.
    """

    def __init__(self, mask: Tensor):
        self.mask, self.count = mask, mask.numel()
        self._blocks = blocks(self.count, _TILE)
        self._tiles = _C.empty(self._blocks + 1, dtype=_C.int64, device=mask.device)
        self._launch("count_tiles", mask.dtype, mask, self.count, self._tiles)
        settings = {"M": mask.dtype, "T": mask.dtype}
        _COMPACT.launch("scan_tiles", settings, 1, _SCANNING, self._tiles, self._blocks)

    def _launch(self, name: str, moved: _C.dtype, *args) -> None:
        _COMPACT.launch(name, {"M": self.mask.dtype, "T": moved}, self._blocks, _THREADS, *args)

    def total(self) -> int:
        """How many are set; the host waits for it."""
        return self._tiles[self._blocks].item()

    def positions(self) -> Tensor:
        """The indices of what is set, one row each."""
        mask, total = self.mask, self.total()
        out = _C.empty((total, mask.dim()), dtype=_C.int64, device=mask.device)
        if out.numel() > 0:
            self._launch(
                "positions", mask.dtype, argument([mask.dim(), *mask.shape], NONE), mask, self.count, self._tiles, out
            )
        return out

    def keep(self, source: Tensor) -> Tensor:
        """The elements of a row-major tensor of the mask's sizes where it is set."""
        out = _C.empty(self.total(), dtype=source.dtype, device=source.device)
        if out.numel() > 0:
            self._launch("keep", BYTES[source.itemsize], self.mask, self.count, self._tiles, source, out)
        return out

    def spread(self, source: Tensor, out: Tensor) -> None:
        """Write the elements of a row-major tensor, in order, where the mask is set; both are row-major."""
        args = (self.mask, self.count, self._tiles, source, source.numel(), out, _failures.address())
        self._launch("spread", BYTES[source.itemsize], *args)

    def runs(self, order: Tensor) -> Tensor:
        """The run of each element, with the mask set at the starts of runs; elements are named by their order."""
        out = _C.empty(self.count, dtype=_C.int64, device=order.device)
        self._launch("runs", self.mask.dtype, self.mask, self.count, self._tiles, order, out)
        return out
