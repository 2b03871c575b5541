"""Rows of reductions, scans, views, joins and indexing."""

import numpy as np
from rows import call, reductions, row
from samples import AWAY, DISTINCT, INDEX, MASK, POS, F, In

# --- reductions
reductions("sum mean prod amax amin nansum nanmean", DISTINCT)
row("logsumexp", call(F(3, 4), 1), call(F(3, 4), (0, 1), True))
reductions("all any", MASK, grad=False)
reductions("argmax argmin", DISTINCT, grad=False)
row("max", call(DISTINCT(3, 4)), ref=np.max)
row("min", call(DISTINCT(3, 4)), ref=np.min)
row("max/dim", call(DISTINCT(3, 4), 1), call(DISTINCT(3, 4), 0, True))
row("min/dim", call(DISTINCT(3, 4), 1), call(DISTINCT(3, 4), 0, True))
row("max/other", call(DISTINCT(3, 4), DISTINCT(4)), ref=np.maximum, grad=False)
row("min/other", call(DISTINCT(3, 4), DISTINCT(4)), ref=np.minimum, grad=False)
row("aminmax", call(DISTINCT(3, 4)), call(DISTINCT(3, 4), dim=1))

# --- scans and sorting
for name in ("cumsum", "cumprod", "logcumsumexp"):
    row(name, call(AWAY(3, 4), 0), call(AWAY(3, 4), -1), ref=getattr(np, name, None))
for name in ("cummax", "cummin", "sort", "median/dim", "nanmedian/dim", "mode"):
    row(name, call(DISTINCT(3, 4), 1), call(DISTINCT(5), 0))
for name in ("median", "nanmedian", "msort"):
    row(name, call(DISTINCT(5)), call(DISTINCT(3, 3)))
row("argsort", call(DISTINCT(3, 4)), call(DISTINCT(3, 4), 0), grad=False)
row("topk", call(DISTINCT(3, 5), 2), call(DISTINCT(5), 3, 0))
row("kthvalue", call(DISTINCT(3, 5), 2), call(DISTINCT(5), 1, 0))
row("searchsorted", call(In((5,), "normal", 0, 1), F(3)), grad=False)
row("bucketize", call(F(3, 2), In((4,), "normal", 0, 1)), grad=False)
row("bincount", call(INDEX(5, 12)), ref=np.bincount, grad=False)
row("histc", call(F(12), 4, -2.0, 2.0), grad=False)
row("diff", call(F(3, 5)), call(F(3, 5), 2, 0))
row("quantile", call(DISTINCT(7), 0.5), call(DISTINCT(3, 5), 0.3, 1))
row("nanquantile", call(DISTINCT(7), 0.5))

# --- views and shapes
row("transpose", call(F(2, 3, 4), 0, 2), ref=lambda x, a, b: np.swapaxes(x, a, b))
for name in ("swapaxes", "swapdims"):
    row(name, call(F(2, 3, 4), 0, -1), ref=lambda x, a, b: np.swapaxes(x, a, b))
row("t", call(F(2, 3)), call(F(3)), ref=np.transpose)
row("permute", call(F(2, 3, 4), (2, 0, 1)), ref=np.transpose)
row("view", call(F(2, 6), (3, 4)), ref=np.reshape)
row("reshape", call(F(2, 6), (3, -1)), ref=np.reshape)
row("flatten", call(F(2, 3, 4)), call(F(2, 3, 4), 1))
row("unflatten", call(F(6, 2), 0, (2, 3)))
row("ravel", call(F(2, 3)), ref=np.ravel)
row("squeeze", call(F(2, 1, 3)), ref=np.squeeze)
row("squeeze/dim", call(F(2, 1, 3), 1))
row("squeeze/dims", call(F(2, 1, 1, 3), (1, 2)))
row("unsqueeze", call(F(2, 3), 1), ref=np.expand_dims)
row("expand", call(F(3, 1), (2, 3, 4)))
row("expand_as", call(F(3, 1), F(3, 4)))
row("broadcast_to", call(F(3, 1), (3, 4)), ref=np.broadcast_to)
row("select", call(F(3, 4), 1, 2))
row("slice", call(F(5, 4), 0, 1, 4, 2))
row("narrow", call(F(5, 4), 0, 1, 3))
row("narrow_copy", call(F(5, 4), 0, 1, 3))
row("diagonal", call(F(4, 5), 1), call(F(2, 3, 3), 0, 1, 2), ref=np.diagonal)
row("unfold", call(F(7), 0, 3, 2))
row("as_strided", call(F(12), (2, 3), (4, 1), 1))
row("movedim/int", call(F(2, 3, 4), 0, 2), ref=np.moveaxis)
row("movedim/intlist", call(F(2, 3, 4), (0, 1), (2, 0)), ref=np.moveaxis)
row("split", call(F(5, 2), 2))
row("chunk", call(F(5, 2), 2))
row("unbind", call(F(3, 2)))
row("clone", call(F(3, 4)))
row("contiguous", call(F(3, 4)))
row("reshape_as", call(F(6), F(2, 3)))
row("view_as", call(F(6), F(2, 3)))
row("atleast_1d", call(F()), ref=np.atleast_1d)
row("atleast_2d", call(F(3)), ref=np.atleast_2d)
row("atleast_3d", call(F(3)))

# --- joining
for name in ("cat", "concat", "concatenate"):
    row(name, call([F(2, 3), F(1, 3)]), call([F(2, 3), F(2, 1)], 1))
row("stack", call([F(2, 3), F(2, 3)]), call([F(2, 3), F(2, 3)], 2))
for name in ("hstack", "vstack", "dstack", "column_stack", "row_stack"):
    row(name, call([F(3), F(3)]), ref=getattr(np, name, None))
row("tile", call(F(2, 3), (2, 1)), ref=np.tile)
row("repeat", call(F(2, 3), (2, 1)))
row("flip", call(F(2, 3), (0, 1)), ref=np.flip)
row("fliplr", call(F(2, 3)), ref=np.fliplr)
row("flipud", call(F(2, 3)), ref=np.flipud)
row("roll", call(F(2, 3), 1, 1), ref=np.roll)
row("rot90", call(F(2, 3)))
row("tril", call(F(4, 4)), call(F(3, 4), 1), ref=np.tril)
row("triu", call(F(4, 4)), call(F(3, 4), -1), ref=np.triu)
row("diag", call(F(4)), call(F(3, 4), 1), ref=np.diag)
row("trace", call(F(3, 3)), ref=np.trace)

# --- picking elements
row("index_select", call(F(4, 3), 0, INDEX(4, 5)), ref=lambda x, d, i: np.take(x, i, d))
row("gather", call(F(4, 3), 0, INDEX(4, 2, 3)), ref=lambda x, d, i: np.take_along_axis(x, i, d))
row("take", call(F(4, 3), INDEX(12, 5)), ref=np.take)
row("masked_fill", call(F(3, 4), MASK(3, 4), 0.5))
row("masked_select", call(F(3, 4), MASK(3, 4)))
row("where", call(MASK(3, 4), F(3, 4), F(4)), ref=np.where)
row("scatter_add", call(F(4, 3), 0, INDEX(4, 2, 3), F(2, 3)))
row("index_add", call(F(4, 3), 0, INDEX(4, 2), F(2, 3)))
row("index_fill", call(F(4, 3), 0, INDEX(4, 2), 1.5))
row("nonzero", call(MASK(3, 4)), grad=False)
row("clamp", call(AWAY(3, 4), -1.0, 1.1), ref=np.clip)
row("lerp", call(F(3, 4), F(3, 4), 0.3))
row("addcmul", call(F(3, 4), F(3, 4), F(4)))
row("addcdiv", call(F(3, 4), F(3, 4), POS(4)))
