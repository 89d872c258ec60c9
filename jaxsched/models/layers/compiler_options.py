"""The compiler options that the layers' gradients are fast with."""

from jaxsched.models.layers.target_platform import target_platform


def compiler_options() -> dict[str, str | bool]:
    """Returns the options to compile a network's update with, for `Lowered.compile`.

    On CPU, XLA removes `lax.optimization_barrier` before it fuses, so that one has no effect. The
    option leaves the barriers in, without which `convolution` computes images twice. It does not
    change any number.

    Example:
        >>> from jaxsched.models.layers.target_platform import tracing_for
        >>> compiler_options()
        {'xla_disable_hlo_passes': 'cse_barrier_expander'}
        >>> with tracing_for("tpu"):
        ...     compiler_options()
        {}
    """
    if target_platform() != "cpu":
        return {}
    return {"xla_disable_hlo_passes": "cse_barrier_expander"}
