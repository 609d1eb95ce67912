"""Optimizers that draw weights from a posterior, or fit one."""

from __future__ import annotations

import random
from typing import Any

from uncertainty_suite import keras, tf


class _Noisy(keras.optimizers.Optimizer):
    """An optimizer whose noise is a function of a seed, its step and the variable, so that nothing of it is kept."""

    def __init__(self, learning_rate: Any, num_examples: int, name: str) -> None:
        super().__init__(learning_rate, name=name)
        self.num_examples = num_examples
        self.seed = random.randrange(2**31)  # from what the run has seeded

    def _normal(self, variable: Any, step: Any) -> tf.Tensor:
        """Return standard normal noise of a variable's shape: that of a step, on all replicas the same."""
        seed = tf.stack([tf.constant(self.seed, tf.int64), tf.cast(step, tf.int64)])
        return tf.random.stateless_normal(
            variable.shape, tf.random.fold_in(seed, self._get_variable_index(variable)), dtype=variable.dtype
        )


class Langevin(_Noisy):
    """Stochastic gradient Langevin dynamics, or with friction below 1 stochastic gradient Hamiltonian Monte Carlo.

    Welling and Teh 2011 (https://www.stats.ox.ac.uk/~teh/research/compstats/WelTeh2011a.pdf); Chen et al. 2014
    (https://arxiv.org/abs/1402.4102), in the form of Zhang et al. 2020 (https://arxiv.org/abs/1902.03932). The target
    is exp(-U / T), where U = N loss + |w|^2 / (2 s^2): N examples, the mean loss that is differentiated, a prior
    N(0, s^2), and the temperature T. With g the gradient of U / N and a learning rate l, which so is that of gradient
    descent on the mean loss, a step is

        v <- (1 - a) v - l g + sqrt(2 a l T / N) noise,  w <- w + v

    and a friction a of 1 leaves no momentum: v = -l g + sqrt(2 l T / N) noise, Welling and Teh's step of 2 l / N.
    Discretised so, its variance is larger than the target's by O(l); there is no Metropolis step. The noise of
    minibatches is not estimated. Other penalties of the loss, as `config.optimizer.l2`, are factors of the prior.

    Args:
        learning_rate: l, a number or a schedule.
        num_examples: N.
        prior_stddev: s, of every trained variable.
        temperature: T; 1 is Bayes' posterior, below it is a cold one, 0 is gradient descent.
        friction: a, in (0, 1]; 1 - a is the momentum.
        name: Its name.

    Attributes:
        temperature: T, a variable; assign to it between steps. It is in the checkpoint.
    """

    def __init__(
        self,
        learning_rate: Any,
        num_examples: int,
        prior_stddev: float = 1.0,
        temperature: float = 1.0,
        friction: float = 1.0,
        name: str = "langevin",
    ) -> None:
        super().__init__(learning_rate, num_examples, name)
        self.prior_stddev = prior_stddev
        self.friction = friction
        self._initial_temperature = temperature

    def build(self, variables: list[Any]) -> None:
        if self.built:
            return
        super().build(variables)
        self.temperature = self.add_variable(
            (), keras.initializers.Constant(self._initial_temperature), "float32", name="temperature"
        )
        self._momenta = self.add_optimizer_variables(variables, "momentum") if self.friction < 1 else []

    def update_step(self, gradient: tf.Tensor, variable: Any, learning_rate: tf.Tensor) -> None:
        rate, temperature = (tf.cast(each, variable.dtype) for each in (learning_rate, self.temperature))
        gradient = _dense(gradient, variable) + variable / (self.num_examples * self.prior_stddev**2)
        variance = 2 * self.friction * rate * temperature / self.num_examples
        change = tf.sqrt(variance) * self._normal(variable, self.iterations) - rate * gradient
        if self.friction < 1:
            momentum = self._momenta[self._get_variable_index(variable)]
            self.assign(momentum, (1 - self.friction) * momentum + change)
            change = momentum
        self.assign_add(variable, change)


class IVON(_Noisy):
    """The improved variational online Newton method: an optimizer whose result is a Gaussian posterior.

    Shen et al. 2024 (https://arxiv.org/abs/2402.17641). It fits q = N(m, 1 / (N (h + d))) by natural gradients at the
    cost of Adam: the variables are the mean m, h estimates the curvature of the mean loss, and d, the weight decay, is
    the precision of the prior over N. In each step the gradient g of the mean loss is taken at weights drawn from q:

        w = m + e, e = noise / sqrt(N (h + d)),  and with f = N (h + d) e g, in this order
        g' <- b1 g' + (1 - b1) g
        h <- b2 h + (1 - b2) f + (1 - b2)^2 (h - f)^2 / (2 (h + d))
        m <- m - l (h0 + d) clip((g' / (1 - b1^t) + d m) / (h + d))

    as the authors' code has it with one draw a step, and their `ess` = N.

    Example:
        >>> with tf.GradientTape() as tape, training.with_weights(model, optimizer.draw()):
        ...     objective = ...
        >>> training.update(model, optimizer, tape, objective)

    Args:
        learning_rate: l, a number or a schedule.
        num_examples: N.
        hess_init: h0, what h begins with.
        beta_1: b1.
        beta_2: b2.
        weight_decay: d.
        clip_radius: No element of a step, before it is multiplied by the learning rate, is larger; 0 for no limit.
        name: Its name.
    """

    def __init__(
        self,
        learning_rate: Any,
        num_examples: int,
        hess_init: float = 1.0,
        beta_1: float = 0.9,
        beta_2: float = 0.99999,
        weight_decay: float = 1e-4,
        clip_radius: float = 0.0,
        name: str = "ivon",
    ) -> None:
        super().__init__(learning_rate, num_examples, name)
        self.hess_init = hess_init
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.prior = weight_decay  # `weight_decay` is Keras' own, which it would subtract by itself
        self.clip_radius = clip_radius

    def build(self, variables: list[Any]) -> None:
        if self.built:
            return
        super().build(variables)
        self._momenta = self.add_optimizer_variables(variables, "momentum")
        self._hessians = self.add_optimizer_variables(variables, "hessian", keras.initializers.Constant(self.hess_init))

    def draw(self, number: int = 0) -> list[tf.Tensor]:
        """Return weights drawn from the posterior, in the order of `model.trainable_variables`.

        Args:
            number: Which draw it is of those between two steps. A step uses the draw 0.
        """
        return [each + self._deviation(each, self.iterations + number) for each in self._trainable_variables]

    def _deviation(self, variable: Any, step: Any) -> tf.Tensor:
        hessian = self._hessians[self._get_variable_index(variable)]
        return self._normal(variable, step) * tf.math.rsqrt(self.num_examples * (hessian + self.prior))

    def update_step(self, gradient: tf.Tensor, variable: Any, learning_rate: tf.Tensor) -> None:
        index = self._get_variable_index(variable)
        momentum, hessian = self._momenta[index], self._hessians[index]
        gradient, rate = _dense(gradient, variable), tf.cast(learning_rate, variable.dtype)
        precision = hessian + self.prior
        found = self.num_examples * precision * self._deviation(variable, self.iterations) * gradient
        self.assign(momentum, self.beta_1 * momentum + (1 - self.beta_1) * gradient)
        correction = 0.5 * (1 - self.beta_2) ** 2 * tf.square(hessian - found) / precision
        self.assign(hessian, self.beta_2 * hessian + (1 - self.beta_2) * found + correction)
        steps = tf.cast(self.iterations + 1, variable.dtype)
        change = momentum / (1 - tf.pow(tf.cast(self.beta_1, variable.dtype), steps)) + self.prior * variable
        change /= hessian + self.prior
        if self.clip_radius > 0:
            change = tf.clip_by_value(change, -self.clip_radius, self.clip_radius)
        self.assign_sub(variable, rate * (self.hess_init + self.prior) * change)


def _dense(gradient: tf.Tensor | tf.IndexedSlices, variable: Any) -> tf.Tensor:
    """Return a gradient in the variable's type, with the zeros of rows that a batch did not look up in a table."""
    return tf.cast(tf.convert_to_tensor(gradient), variable.dtype)
