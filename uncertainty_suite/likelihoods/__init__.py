"""Likelihoods: what a label is, and everything that follows from it.

A likelihood knows the number of outputs that a head needs, the loss of outputs and labels, how outputs become
predictions, and, in NumPy alone, what a run saves of them, what a metric receives and which uncertainties there are. So
the same script trains a classifier and a regression.

Example:
    >>> from uncertainty_suite import likelihoods
    >>> likelihood = likelihoods.get("gaussian", mean=22.5, stddev=9.2)
    >>> likelihood.num_outputs
    2
"""

from typing import Any

from uncertainty_suite.likelihoods.base import Likelihood, Saved
from uncertainty_suite.likelihoods.categorical import Categorical
from uncertainty_suite.likelihoods.conjugate_priors import Conjugate, Dirichlet, NormalInverseGamma, conjugate
from uncertainty_suite.likelihoods.densities import GaussianMixture, Quantiles
from uncertainty_suite.likelihoods.gaussian import Gaussian
from uncertainty_suite.registry import Registry

__all__ = [
    "Categorical",
    "Conjugate",
    "Dirichlet",
    "Gaussian",
    "GaussianMixture",
    "Likelihood",
    "NormalInverseGamma",
    "Quantiles",
    "Saved",
    "conjugate",
    "get",
    "info",
    "names",
]

_REGISTRY: Registry[type[Likelihood]] = Registry("likelihood")
_REGISTRY.register(Categorical)
_REGISTRY.register(Gaussian)


def names() -> list[str]:
    """Return the names of all likelihoods."""
    return _REGISTRY.names()


def info(name: str) -> type[Likelihood]:
    """Return the class of a likelihood.

    Raises:
        InputError: The name is unknown.
    """
    return _REGISTRY.info(name)


def get(name: str, **parameters: Any) -> Likelihood:
    """Return a likelihood by name.

    Args:
        name: One of `names()`.
        **parameters: What it takes: `num_classes` for `categorical`; `mean` and `stddev` of the training targets for
            `gaussian`. `Likelihood.parameters` gives them back.

    Raises:
        InputError: The name or a parameter is unknown.
    """
    return _REGISTRY.make(name, **parameters)
