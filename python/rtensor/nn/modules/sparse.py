"""Tables of vectors, looked up by index."""

from typing import Any

import rtensor
from rtensor import Tensor
from rtensor.nn import functional as F
from rtensor.nn import init
from rtensor.nn.modules.module import Module
from rtensor.nn.parameter import Parameter

__all__ = ["Embedding", "EmbeddingBag"]


class _Table(Module):
    """What both embeddings share: the table, its padding row and its print."""

    def _setup(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None,
        max_norm: float | None,
        norm_type: float,
        scale_grad_by_freq: bool,
        sparse: bool,
    ) -> None:
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise AssertionError("Padding_idx must be within num_embeddings")
            padding_idx %= num_embeddings
        self.num_embeddings, self.embedding_dim, self.padding_idx = num_embeddings, embedding_dim, padding_idx
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse

    def _make_weight(self, given: Tensor | None, device: Any, dtype: Any, requires_grad: bool = True) -> None:
        shape = (self.num_embeddings, self.embedding_dim)
        if given is not None:
            if tuple(given.shape) != shape:
                raise AssertionError("Shape of weight does not match num_embeddings and embedding_dim")
            self.weight = Parameter(given, requires_grad)
            return
        self.weight = Parameter(rtensor.empty(shape, device=device, dtype=dtype), requires_grad)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new vectors; the padding row is zero."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with rtensor.no_grad():
                self.weight[self.padding_idx].fill_(0)

    def _norm_repr(self) -> str:
        text = ""
        if self.max_norm is not None:
            text += f", max_norm={self.max_norm}"
        if self.norm_type != 2:
            text += f", norm_type={self.norm_type}"
        if self.scale_grad_by_freq is not False:
            text += f", scale_grad_by_freq={self.scale_grad_by_freq}"
        return text


class Embedding(_Table):
    """Vectors by index.

    Parameters
    ----------
    num_embeddings, embedding_dim
        Number and length of the vectors.
    padding_idx
        Index of a vector that starts at zero and gets no gradient.
    max_norm, norm_type
        Vectors that are looked up are shortened to this norm, in place.
    scale_grad_by_freq
        Divide each gradient by the number of times its index occurs.
    sparse
        Accepted for compatibility; gradients are dense.
    device, dtype
        Of the table.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        self._setup(num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)
        self._make_weight(_weight, device, dtype, requires_grad=not _freeze)

    def forward(self, input: Tensor) -> Tensor:
        """Look up."""
        return F.embedding(
            input,
            self.weight,
            self.padding_idx,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.sparse,
        )

    def extra_repr(self) -> str:
        """Sizes, and what differs from the default."""
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.padding_idx is not None:
            text += f", padding_idx={self.padding_idx}"
        return text + self._norm_repr() + (", sparse=True" if self.sparse else "")

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, **options: Any) -> "Embedding":
        """Return an embedding whose table is `embeddings`; `freeze` keeps it from being trained."""
        if embeddings.dim() != 2:
            raise AssertionError("Embeddings parameter is expected to be 2-dimensional")
        return cls(*embeddings.shape, _weight=embeddings, _freeze=freeze, **options)


class EmbeddingBag(_Table):
    """Sums, means or maxima of bags of vectors.

    Parameters
    ----------
    num_embeddings, embedding_dim
        Number and length of the vectors.
    max_norm, norm_type
        Vectors that are looked up are shortened to this norm, in place.
    scale_grad_by_freq
        Divide each gradient by the number of times its index occurs.
    mode
        ``sum``, ``mean`` or ``max``.
    sparse
        Accepted for compatibility; gradients are dense.
    include_last_offset
        Whether the last offset is the end of the last bag.
    padding_idx
        Index that counts in no bag.
    device, dtype
        Of the table.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        self._setup(num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)
        self.mode, self.include_last_offset = mode, include_last_offset
        self._make_weight(_weight, device, dtype)

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        """Look up and reduce."""
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        """Sizes, the mode, and what differs from the default."""
        text = f"{self.num_embeddings}, {self.embedding_dim}{self._norm_repr()}, mode={self.mode!r}"
        return text if self.padding_idx is None else f"{text}, padding_idx={self.padding_idx}"

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, **options: Any) -> "EmbeddingBag":
        """Return a module whose table is `embeddings`; `freeze` keeps it from being trained."""
        if embeddings.dim() != 2:
            raise AssertionError("Embeddings parameter is expected to be 2-dimensional")
        bag = cls(*embeddings.shape, _weight=embeddings, **options)
        bag.weight.requires_grad = not freeze
        return bag
