"""The compiler options that the layers' gradients are fast with."""

import jax

from jaxsched.models.layers.target_platform import target_platform

# YNN is the newer of two libraries that XLA's CPU compiler calls, Eigen the older. In jax 0.11 and
# 0.12 YNN's convolutions take up to 1.8 times as long as in 0.10, and Eigen's as long as before.
EIGEN_CONVOLVES = jax.__version_info__ >= (0, 11)
_YNN_WITHOUT_CONVOLUTIONS = "LIBRARY_FUSION_TYPE_REDUCE,LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"


def compiler_options() -> dict[str, str | bool]:
    """Returns the options to compile a network's update with, for `Lowered.compile`.

    On CPU, XLA removes `lax.optimization_barrier` before it fuses, so that one has no effect. An
    option leaves the barriers in, without which `convolution` computes images twice. It does not
    change any number. From jax 0.11 on, another one takes the faster of two libraries for
    convolutions; see `experiments/performance/convolutions.md`.

    Example:
        >>> from jaxsched.models.layers.target_platform import tracing_for
        >>> compiler_options()["xla_disable_hlo_passes"]
        'cse_barrier_expander'
        >>> with tracing_for("tpu"):
        ...     compiler_options()
        {}
    """
    if target_platform() != "cpu":
        return {}
    options: dict[str, str | bool] = {"xla_disable_hlo_passes": "cse_barrier_expander"}
    if EIGEN_CONVOLVES:
        options["xla_cpu_experimental_ynn_fusion_type"] = _YNN_WITHOUT_CONVOLUTIONS
    return options
