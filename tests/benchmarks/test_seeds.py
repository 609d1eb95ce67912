import sys
import types

import numpy as np
import pytest

from tests.conftest import ROOT
from uncertainty_suite import keras

sys.path.append(str(ROOT / "benchmarks"))
import seeds


def training_of(number):
    model = types.SimpleNamespace(variables=[keras.Variable(np.array([number], np.float32), name="kernel")])
    return types.SimpleNamespace(model=model, optimizer=types.SimpleNamespace(variables=[]))


def test_a_bit_that_differs_is_found():
    seeds.check_bits([training_of(1)], [training_of(1)])
    with pytest.raises(RuntimeError, match=r"model/kernel has other bits where several seeds are one program\."):
        seeds.check_bits([training_of(1)], [training_of(np.nextafter(np.float32(1), np.float32(2)))])
