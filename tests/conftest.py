"""Fixtures that several test files use."""

import pytest

import rtensor as torch


@pytest.fixture
def default_dtype():
    """The default dtype may be changed; it is restored."""
    before = torch.get_default_dtype()
    yield torch.set_default_dtype
    torch.set_default_dtype(before)
