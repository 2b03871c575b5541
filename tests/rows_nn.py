"""Rows of convolutions, pooling, losses, normalisation, activations and embeddings."""

from rows import call, row, unary
from samples import AWAY, DISTINCT, INDEX, POS, PROB, UNIT, F

import rtensor as torch

NN = "nn.functional."

# --- activations
for name in (
    "elu",
    "leaky_relu",
    "hardtanh",
    "relu6",
    "hardsigmoid",
    "hardswish",
    "silu",
    "mish",
    "softplus",
    "softshrink",
    "log_sigmoid",
    "gelu",
):
    unary(NN + name, AWAY)
unary("celu selu hardshrink relu", AWAY)
row("threshold", call(AWAY(3, 4), 0.1, 2.0))
row("fake_quantize_per_tensor_affine", call(F(2, 3), 0.5, 3, 0, 10), grad=False)
row("prelu", call(AWAY(2, 3, 4), POS(3)))
row(NN + "glu", call(F(3, 4)))

# --- convolutions
row("conv1d", call(F(2, 3, 8), F(4, 3, 3)), call(F(2, 4, 8), F(4, 2, 3), F(4), 2, 1, 1, 2))
row("conv2d", call(F(2, 3, 6, 5), F(4, 3, 3, 2)), call(F(1, 2, 7, 7), F(4, 1, 3, 3), F(4), 2, 1, 2, 2))
row("conv3d", call(F(1, 2, 4, 5, 4), F(3, 2, 2, 3, 2), F(3)))
row("conv_tbc", call(F(8, 2, 3), F(3, 3, 4), F(4), 1))
row("conv1d/padding", call(F(2, 3, 8), F(4, 3, 3), padding="same"))
row("conv2d/padding", call(F(2, 3, 6, 5), F(4, 3, 3, 2), padding="valid"))
row("conv3d/padding", call(F(1, 2, 4, 5, 4), F(3, 2, 2, 3, 2), padding="valid"))
row("conv_transpose1d", call(F(2, 3, 5), F(3, 4, 3)), call(F(2, 4, 5), F(4, 2, 3), F(4), 2, 1, 1, 2))
row("conv_transpose2d", call(F(1, 3, 4, 5), F(3, 2, 3, 2), F(2)))
row("conv_transpose3d", call(F(1, 2, 3, 3, 2), F(2, 3, 2, 2, 2)))
row("convolution", call(F(2, 3, 8), F(4, 3, 3), None, [1], [0], [1], False, [0], 1))
row(NN + "linear", call(F(2, 3), F(4, 3), F(4)), call(F(3), F(4, 3)))

# --- padding
row("constant_pad_nd", call(F(2, 3), (1, 2)), call(F(2, 3), (1, -1, 0, 2), 1.5))
row(NN + "pad", *(call(F(2, 3, 4), (2, 1), mode) for mode in ("constant", "reflect", "replicate", "circular")))

# --- pooling
row("max_pool1d", call(DISTINCT(2, 3, 8), 2))
row("max_pool2d", call(DISTINCT(1, 2, 6, 6), 2), call(DISTINCT(1, 2, 7, 7), 3, 2, 1))
row("max_pool3d", call(DISTINCT(1, 2, 4, 4, 4), 2))
row("max_pool1d_with_indices", call(DISTINCT(2, 3, 8), 2))
row(NN + "max_pool2d_with_indices", call(DISTINCT(1, 2, 6, 6), 2))
row(NN + "max_pool3d_with_indices", call(DISTINCT(1, 2, 4, 4, 4), 2))
row("avg_pool1d", call(F(2, 3, 8), 2))
row(NN + "avg_pool2d", call(F(1, 2, 6, 6), 3, 2, 1))
row(NN + "avg_pool3d", call(F(1, 2, 4, 4, 4), 2))
row("adaptive_avg_pool1d", call(F(2, 3, 8), 3))
row(NN + "adaptive_avg_pool2d", call(F(1, 2, 6, 5), (3, 2)))
row(NN + "adaptive_avg_pool3d", call(F(1, 2, 4, 4, 4), 2))
row("adaptive_max_pool1d", call(DISTINCT(2, 3, 8), 3))
row(NN + "adaptive_max_pool2d", call(DISTINCT(1, 2, 6, 5), (3, 2)))
row(NN + "adaptive_max_pool3d", call(DISTINCT(1, 2, 4, 4, 4), 2))
row(NN + "fractional_max_pool2d", call(DISTINCT(1, 2, 6, 6), 2, 3, PROB(1, 2, 2)))
row(NN + "fractional_max_pool3d", call(DISTINCT(1, 2, 6, 6, 6), 2, 3, PROB(1, 2, 3)))

# --- losses
for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"):
    row(NN + name, call(F(3, 4), F(3, 4)), call(F(3, 4), F(3, 4), 0))
row("kl_div", call(F(3, 4), PROB(3, 4)))
row(NN + "binary_cross_entropy", call(PROB(3, 4), PROB(3, 4)))
row("binary_cross_entropy_with_logits", call(F(3, 4), PROB(3, 4)))
row(NN + "nll_loss_nd", call(F(5, 4), INDEX(4, 5)), call(F(2, 4, 3), INDEX(4, 2, 3)))
row(NN + "cross_entropy_loss", call(F(5, 4), INDEX(4, 5)), call(F(5, 4), PROB(5, 4)))

# --- normalisation
row("layer_norm", call(F(3, 4), [4], F(4), F(4)))
row("native_layer_norm", call(F(3, 4), [4], F(4), F(4), 1e-5), grad=False)
row("rms_norm", call(F(3, 4), [4], F(4)), call(F(2, 3, 4), [3, 4], None, 1e-3))
row("group_norm", call(F(2, 4, 3), 2, F(4), F(4)))
row("native_group_norm", call(F(2, 4, 3), F(4), F(4), 2, 4, 3, 2, 1e-5))
row("batch_norm", call(F(4, 3, 2), F(3), F(3), None, None, True, 0.1, 1e-5, True))
row("native_batch_norm", call(F(4, 3, 2), F(3), F(3), None, None, True, 0.1, 1e-5))
row("instance_norm", call(F(2, 3, 5), F(3), F(3), None, None, True, 0.1, 1e-5, True))

# --- embeddings
row("embedding", call(F(5, 3), INDEX(5, 2, 4)))
row(NN + "one_hot", call(INDEX(5, 4), 5), grad=False)
row("embedding_bag", call(F(5, 3), INDEX(5, 6), torch.tensor([0, 2])), grad=False)

# --- distances and losses of pairs
row("cdist", call(F(3, 4), F(2, 4)), call(F(3, 4), F(2, 4), 1.0), call(F(26, 4), F(3, 4)))
row("pdist", call(F(4, 3)))
row("cosine_similarity", call(F(3, 4), F(3, 4)))
row(NN + "soft_margin_loss", call(F(3, 4), F(3, 4)))
row("hinge_embedding_loss", call(AWAY(3, 4), torch.ones(3, 4, dtype=torch.float64)))
row("margin_ranking_loss", call(F(3), F(3), torch.ones(3, dtype=torch.float64)))
row("cosine_embedding_loss", call(F(3, 4), F(3, 4), torch.ones(3, dtype=torch.float64)))
row("triplet_margin_loss", call(F(3, 4), F(3, 4), F(3, 4)))
row("poisson_nll_loss", call(F(3, 4), POS(3, 4), True, False, 1e-8, 1))
row(NN + "multi_margin_loss", call(F(3, 4), INDEX(4, 3)))
row(NN + "multilabel_margin_loss", call(F(3, 4), INDEX(4, 3, 4)))

# --- images
for size, shape in ((1, (1, 2, 4)), (2, (1, 2, 4, 3)), (3, (1, 2, 3, 4, 2))):
    target = (5, 4, 3)[:size]
    row(f"{NN}upsample_nearest{size}d", call(F(*shape), target, None))
    row(f"{NN}_upsample_nearest_exact{size}d", call(F(*shape), target, None))
    row(f"{NN}upsample_{('linear', 'bilinear', 'trilinear')[size - 1]}{size}d", call(F(*shape), target, False, None))
row(NN + "upsample_bicubic2d", call(F(1, 2, 4, 3), (5, 4), False, None))
row("grid_sampler", call(F(1, 2, 4, 3), UNIT(1, 3, 3, 2), 0, 0, False))
row("grid_sampler_2d", call(F(1, 2, 4, 3), UNIT(1, 3, 3, 2), 0, 0, False))
row("grid_sampler_3d", call(F(1, 1, 3, 4, 3), UNIT(1, 2, 3, 2, 3), 0, 0, False))
row("affine_grid_generator", call(F(1, 2, 3), (1, 1, 3, 4), False))
row(NN + "im2col", call(F(1, 2, 4, 5), (2, 3), 1, 0, 1))
row(NN + "col2im", call(F(1, 8, 6), (3, 4), 2, 1, 0, 1))
row(NN + "max_unpool2d", call(F(1, 1, 2, 2), torch.tensor([[[[0, 3], [9, 15]]]]), (4, 4)))
row(NN + "max_unpool3d", call(F(1, 1, 1, 1, 2), torch.tensor([[[[[0, 7]]]]]), (2, 2, 2), (2, 2, 2), (0, 0, 0)))

# --- attention
row(NN + "scaled_dot_product_attention", call(F(2, 3, 4), F(2, 5, 4), F(2, 5, 6)))
