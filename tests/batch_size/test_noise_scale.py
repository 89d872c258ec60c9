"""The noise scale at the settings whose scales the paper says are equal."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxsched as js


def test_the_three_settings_of_the_paper_have_one_scale():
    """Figure 5: larger learning rate with larger batch, then larger momentum with larger batch."""
    settings = [(0.1, 128, 0.9), (0.5, 640, 0.9), (0.5, 3200, 0.98)]
    exact = [js.noise_scale(lr, size, 50_000, momentum) for lr, size, momentum in settings]
    # ε N / (B (1 − m)) is 390.625 for all; the exact factor N/B − 1 takes B/N off it
    np.testing.assert_allclose(exact, [390.625 * (1 - size / 50_000) for _, size, _ in settings])


def test_it_takes_arrays_and_traced_values():
    sizes = np.array([128, 640])
    np.testing.assert_allclose(
        js.noise_scale(0.1, sizes, 50_000), 0.1 * (50_000 / sizes - 1), rtol=1e-12
    )
    traced = jax.jit(lambda lr, m: js.noise_scale(lr, 500, 50_000, m))(0.1, jnp.float32(0.5))
    assert float(traced) == pytest.approx(0.2 * 99, rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.1, 128, 50_000, 1.0), r"momentum within \[0, 1\), got momentum=1.0"),
        ((0.1, 128, 50_000, -0.1), "got momentum=-0.1"),
        ((0.1, 60_000, 50_000), "within 1 … 50000, the training set, got batch_size=60000"),
        ((0.1, 0, 50_000), "got batch_size=0"),
    ],
)
def test_impossible_settings_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        js.noise_scale(*arguments)
