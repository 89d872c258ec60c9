"""Steps with a factor for each milestone, against Optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxsched as js


def test_a_factor_for_each_milestone_is_optaxs_dictionary(values, values_of_optax):
    theirs = optax.piecewise_constant_schedule(0.3, {20: 0.5, 50: 0.1, 90: 3.0})
    ours = js.MultiStep(0.3, (20, 50, 90), (0.5, 0.1, 3.0))
    np.testing.assert_allclose(values(ours), values_of_optax(theirs), rtol=1e-6)
    assert ours == js.MultiStep(0.3, [20, 50, 90], [0.5, 0.1, 3.0])


def test_factors_may_be_traced():
    sweep = jax.vmap(lambda factor: js.MultiStep(1.0, (20, 50), (factor, 0.1))(50))
    np.testing.assert_allclose(sweep(jnp.array([0.5, 0.2])), [0.05, 0.02], rtol=1e-6)
