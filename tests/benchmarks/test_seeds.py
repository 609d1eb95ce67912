import sys
import types

import pytest

from tests.conftest import ROOT
from uncertainty_suite import keras

sys.path.append(str(ROOT / "benchmarks"))
import seeds


def training_from(kernel):
    initializer = keras.initializers.Constant(kernel)
    layers = [keras.Input((1,)), keras.layers.Dense(1, kernel_initializer=initializer, name="dense")]
    model = keras.Sequential(layers, name="model")
    optimizer = keras.optimizers.SGD()
    optimizer.build(model.trainable_variables)
    return types.SimpleNamespace(model=model, optimizer=optimizer)


def test_bits_that_differ_are_found_though_the_numbers_are_equal():
    seeds.check_bits([training_from(0.0)], [training_from(0.0)])
    with pytest.raises(RuntimeError, match=r"model/dense/kernel has other bits where several seeds are one program\."):
        seeds.check_bits([training_from(0.0)], [training_from(-0.0)])
