import sys

import pytest

from tests.conftest import ROOT
from uncertainty_suite import tf

sys.path.append(str(ROOT / "benchmarks"))
import profiling


def test_shares_are_of_the_operations_that_run_and_sum_to_one():
    @tf.function
    def function(inputs):
        return tf.sin(tf.matmul(inputs, inputs))

    inputs = tf.ones([400, 400])
    function(inputs)
    shares = profiling.shares_of_operations(lambda: function(inputs))
    assert next(iter(shares)) == "MatMul"
    assert "Sin" in shares
    assert sum(shares.values()) == pytest.approx(1)
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
