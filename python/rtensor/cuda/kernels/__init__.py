"""Kernels of the operators that are no formulas, one module per family."""
