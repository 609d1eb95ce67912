from uncertainty_suite import keras, layers


@keras.saving.register_keras_serializable("tests")
class Diverging(keras.layers.Layer):
    """A layer whose weights are so far from their prior."""

    def __init__(self, divergence, **kwargs):
        super().__init__(**kwargs)
        self.divergence = divergence

    def call(self, inputs):
        return inputs

    def kl_divergence(self):
        return self.divergence * keras.ops.ones((), self.compute_dtype)


class Nested(keras.layers.Layer):
    """A layer that contains others, one of them twice."""

    def __init__(self, layers_within, **kwargs):
        super().__init__(**kwargs)
        self.within = layers_within
        self.again = layers_within[0]

    def build(self, input_shape):
        for layer in self.within:
            layer.build(input_shape)

    def call(self, inputs):
        return self.again(self.within[0](inputs))


def test_divergences_of_all_layers_add_up():
    shared = Diverging(100.0)
    x = keras.Input((3,))
    inner = keras.Sequential([keras.Input((3,)), Diverging(10.0), keras.layers.Dense(3)])
    y = Nested([Diverging(1.0, dtype="bfloat16"), Diverging(4.0)])(inner(shared(x)))
    model = keras.Model(x, shared(y))
    total = layers.kl_divergence(model)
    assert total.dtype == "float32"
    assert float(total) == 115.0  # each layer once, though it is used twice


def test_without_distributions_there_is_none():
    for model in (keras.layers.Dense(3), keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])):
        assert float(layers.kl_divergence(model)) == 0.0
