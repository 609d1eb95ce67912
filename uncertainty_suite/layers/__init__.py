"""Layers that methods put into architectures in place of the plain ones, and the layer set that carries them there."""

from uncertainty_suite.layers.attention import DotProductAttention, self_attention
from uncertainty_suite.layers.batch_normalization import FusedBatchNormalization
from uncertainty_suite.layers.centroids import CentroidKernel
from uncertainty_suite.layers.divergence import kl_divergence
from uncertainty_suite.layers.draws import draw_for_rows
from uncertainty_suite.layers.dropout import Dropout, MonteCarloDropout
from uncertainty_suite.layers.factor_analysis import FactorAnalysisSoftmax
from uncertainty_suite.layers.fast_weights import (
    FastWeights,
    RandomSigns,
    StochasticFastWeights,
    fast_weight_initializer,
)
from uncertainty_suite.layers.gaussian_process import RandomFeatureGaussianProcess
from uncertainty_suite.layers.graphs import SplitGraph
from uncertainty_suite.layers.inducing_points import GaussianSamples, InducingPointGaussianProcess
from uncertainty_suite.layers.last_layer_laplace import LastLayerLaplace
from uncertainty_suite.layers.layer_set import LayerSet
from uncertainty_suite.layers.masks import MemberMasks, member_masks
from uncertainty_suite.layers.mean_field import mean_field_logits, monte_carlo_softmax
from uncertainty_suite.layers.members import (
    MemberHead,
    MergeMembers,
    SplitMembers,
    TileMembers,
    by_member,
    split_members,
)
from uncertainty_suite.layers.noise import PerturbedCopy
from uncertainty_suite.layers.random_features import OrthogonalRandomFeatures
from uncertainty_suite.layers.recurrence import Recurrence, lstm
from uncertainty_suite.layers.reversible import AffineCoupling, FlowDensities, RadialFlow
from uncertainty_suite.layers.self_tuning import LogUniform, SelfTuned
from uncertainty_suite.layers.side_by_side import SideBySide
from uncertainty_suite.layers.spectral_normalization import SpectralNormalization
from uncertainty_suite.layers.split import draw_samples, has_stochastic, seed_draws, split_at, split_at_stochastic
from uncertainty_suite.layers.tokens import IsToken, Positions, TokenMax, TokenMean, ZeroPadding
from uncertainty_suite.layers.variational import Variational
from uncertainty_suite.layers.variational_last_layer import VariationalLastLayer
from uncertainty_suite.marks import mark

__all__ = [
    "AffineCoupling",
    "CentroidKernel",
    "DotProductAttention",
    "Dropout",
    "FactorAnalysisSoftmax",
    "FastWeights",
    "FlowDensities",
    "FusedBatchNormalization",
    "GaussianSamples",
    "InducingPointGaussianProcess",
    "IsToken",
    "LastLayerLaplace",
    "LayerSet",
    "LogUniform",
    "MemberHead",
    "MemberMasks",
    "MergeMembers",
    "MonteCarloDropout",
    "OrthogonalRandomFeatures",
    "PerturbedCopy",
    "Positions",
    "RadialFlow",
    "RandomFeatureGaussianProcess",
    "RandomSigns",
    "Recurrence",
    "SelfTuned",
    "SideBySide",
    "SpectralNormalization",
    "SplitGraph",
    "SplitMembers",
    "StochasticFastWeights",
    "TileMembers",
    "TokenMax",
    "TokenMean",
    "Variational",
    "VariationalLastLayer",
    "ZeroPadding",
    "by_member",
    "draw_for_rows",
    "draw_samples",
    "fast_weight_initializer",
    "has_stochastic",
    "kl_divergence",
    "lstm",
    "mark",
    "mean_field_logits",
    "member_masks",
    "monte_carlo_softmax",
    "seed_draws",
    "self_attention",
    "split_at",
    "split_at_stochastic",
    "split_members",
]
