"""Means and slopes of a noisy series, weighted by distance, and their standard errors."""

import numpy as np
from numpy.typing import ArrayLike

# The standard deviation of a normal distribution over the median of its absolute deviation.
_SD_PER_MEDIAN = 1.482602218505602


def debiased_mean(losses: ArrayLike, beta: float) -> np.ndarray:
    """The exponential mean of all losses so far, for a test that is still running.

    Formula:
        Σ_{j ≤ i} β^(i−j) L_j / Σ_{j ≤ i} β^(i−j)

    For a constant series it is that constant from the first point on. It lags: a feature of the
    losses shows about 1 / (1 − β) points late.

    Args:
        losses: f64[n].
        beta: β, within [0, 1).

    Returns:
        f64[n].

    Raises:
        ValueError: when `losses` is not a series or beta is out of its range.

    Source:
        Kingma and Ba, "Adam" (arXiv 1412.6980), section 3.

    Example:
        >>> from jaxsched.lr_finder.smoothing import debiased_mean
        >>> debiased_mean([2.0, 2.0, 5.0], 0.5).round(3)
        array([2.   , 2.   , 3.714])
    """
    series = _checked(losses, beta)
    return _sums_so_far(series, beta) / _sums_so_far(np.ones_like(series), beta)


def centred_mean(losses: ArrayLike, beta: float) -> np.ndarray:
    """The exponential mean of the losses on both sides of each point, which does not lag.

    Formula:
        Σ_j β^|i−j| L_j / Σ_j β^|i−j|

    Args:
        losses: f64[n].
        beta: β, within [0, 1).

    Returns:
        f64[n].

    Raises:
        ValueError: when `losses` is not a series or beta is out of its range.

    Example:
        >>> from jaxsched.lr_finder.smoothing import centred_mean
        >>> centred_mean([2.0, 2.0, 5.0, 2.0, 2.0], 0.5).round(3)
        array([2.387, 2.632, 3.2  , 2.632, 2.387])
    """
    series = _checked(losses, beta)
    return _sums(series, beta) / _sums(np.ones_like(series), beta)


def effective_numbers(num_points: int, beta: float) -> np.ndarray:
    """The effective number of points in each centred mean.

    The variance of a mean is the variance of the noise divided by this number.

    Formula, w_ij = β^|i−j|:
        (Σ_j w_ij)² / Σ_j w_ij²;   (1 + β)³ / ((1 − β)(1 + β²)) far from the ends

    Args:
        num_points: n.
        beta: β, within [0, 1).

    Returns:
        f64[n].

    Raises:
        ValueError: when `num_points` is below 1 or beta is out of its range.

    Example:
        >>> from jaxsched.lr_finder.smoothing import effective_numbers
        >>> effective_numbers(401, 0.9)[[0, 200]].round(1)
        array([19. , 37.9])
    """
    ones = _checked(np.ones(num_points), beta)
    return _sums(ones, beta) ** 2 / _sums(ones, beta**2)


def effective_numbers_so_far(num_points: int, beta: float) -> np.ndarray:
    """The effective number of points in each debiased mean.

    The variance of a mean is the variance of the noise divided by this number.

    Formula:
        (Σ_{j ≤ i} β^(i−j))² / Σ_{j ≤ i} β^(2(i−j));   (1 + β) / (1 − β) far from the start

    Args:
        num_points: n.
        beta: β, within [0, 1).

    Returns:
        f64[n].

    Raises:
        ValueError: when `num_points` is below 1 or beta is out of its range.

    Example:
        >>> from jaxsched.lr_finder.smoothing import effective_numbers_so_far
        >>> effective_numbers_so_far(401, 0.9)[[0, 1, 400]].round(2)
        array([ 1.  ,  1.99, 19.  ])
    """
    ones = _checked(np.ones(num_points), beta)
    return _sums_so_far(ones, beta) ** 2 / _sums_so_far(ones, beta**2)


def local_slope(
    abscissa: ArrayLike, losses: ArrayLike, beta: float
) -> tuple[np.ndarray, np.ndarray]:
    """The slope of the best-fitting line around each point, and its standard error.

    Formula, w_ij = β^|i−j|, means weighted by it:
        slope_i = Σ_j w_ij (x_j − x̄_i) L_j / S_i,   S_i = Σ_j w_ij (x_j − x̄_i)²
        error_i = √(Σ_j w_ij² (x_j − x̄_i)²) / S_i

    The error is for noise of standard deviation 1. At the ends of the series a line still fits,
    whereas the difference of smoothed losses is biased towards zero; the error is larger there
    because fewer points contribute.

    Args:
        abscissa: x, f64[n], in any spacing; not all the same.
        losses: f64[n].
        beta: β, within (0, 1).

    Returns:
        Slopes, f64[n], in losses per unit of x, and errors, f64[n], in 1 per unit of x.

    Raises:
        ValueError: when `losses` is not a series or beta is out of its range.

    Source:
        Cleveland, "Robust locally weighted regression and smoothing scatterplots" (JASA 1979),
        section 2, with these weights and without the robust reweighting.

    Example:
        >>> import numpy as np
        >>> from jaxsched.lr_finder.smoothing import local_slope
        >>> x = np.linspace(-5.0, 1.0, 100)
        >>> slopes, errors = local_slope(x, 3.0 - 0.5 * x, beta=0.8)
        >>> bool(np.allclose(slopes, -0.5)), bool(errors[0] > 2 * errors[50])
        (True, True)
    """
    series = _checked(losses, beta)
    x = np.asarray(abscissa, np.float64)
    x = x - x.mean()
    moments = np.stack([np.ones_like(x), x, x * x, series, x * series], axis=-1)
    weight, x1, x2, l1, xl = _sums(moments, beta).T
    spread = x2 - x1 * x1 / weight
    square, y1, y2 = _sums(moments[:, :3], beta**2).T
    centre = x1 / weight
    variance = y2 - 2 * centre * y1 + centre**2 * square
    return (xl - centre * l1) / spread, np.sqrt(variance) / spread


def noise_sd(losses: ArrayLike, beta: float) -> float:
    """The standard deviation of the noise, from the residuals around the centred mean.

    Formula, w_i = Σ_j β^|i−j|, m_i the effective numbers:
        1.4826 · median_i |L_i − mean_i| / √(1 − 2 / w_i + 1 / m_i)

    The root corrects for L_i being part of its own mean, which makes residuals smaller than the
    noise. The median makes the estimate robust to a few points of a divergence. Where the losses
    bend within the mean's width the estimate is too large, which is on the safe side.

    Args:
        losses: f64[n].
        beta: β, within (0, 1).

    Raises:
        ValueError: when `losses` is not a series or beta is out of its range.

    Example:
        >>> import numpy as np
        >>> from jaxsched.lr_finder.smoothing import noise_sd
        >>> noise = np.random.default_rng(0).normal(0, 0.1, 1000)
        >>> round(noise_sd(np.linspace(3, 1, 1000) + noise, beta=0.9), 2)
        0.1
    """
    series = _checked(losses, beta)
    weights = _sums(np.ones_like(series), beta)
    variance_left = 1 - 2 / weights + 1 / effective_numbers(len(series), beta)
    residuals = np.abs(series - centred_mean(series, beta))
    return float(_SD_PER_MEDIAN * np.median(residuals / np.sqrt(variance_left)))


def _sums_so_far(series: np.ndarray, beta: float) -> np.ndarray:
    """Σ_{j ≤ i} β^(i−j) v_j along the first axis, in time and memory linear in n."""
    sums = np.array(series, np.float64)
    for i in range(1, len(sums)):
        sums[i] += beta * sums[i - 1]
    return sums


def _sums(series: np.ndarray, beta: float) -> np.ndarray:
    """Σ_j β^|i−j| v_j along the first axis."""
    return _sums_so_far(series, beta) + _sums_so_far(series[::-1], beta)[::-1] - series


def _checked(losses: ArrayLike, beta: float) -> np.ndarray:
    """The losses as an array; raises `ValueError` for arguments that no mean can be taken of."""
    series = np.asarray(losses, np.float64)
    if series.ndim != 1 or not len(series):
        raise ValueError(
            f"a mean needs a series of at least one loss, got an array of shape {series.shape}."
        )
    if not 0 <= beta < 1:
        raise ValueError(f"a mean needs a beta within [0, 1), got {beta}.")
    return series
