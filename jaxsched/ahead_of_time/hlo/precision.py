"""Products in float32 that a network in bfloat16 still makes."""

from collections.abc import Iterable

from jaxsched.ahead_of_time.hlo.flops import Product

_HALF = ("bf16", "f16")


def full_precision_products(found: Iterable[Product]) -> tuple[Product, ...]:
    """Returns the products in float32 or wider of a network in half precision.

    A network counts as one where more than half of its operations are in half precision; a TPU's
    compiler uses bfloat16 here and there in a float32 network too. A CPU's turns bfloat16 into
    float32, so its programs tell nothing here.
    """
    found = tuple(found)
    half = sum(product.total_flops for product in found if product.dtype in _HALF)
    if 2 * half <= sum(product.total_flops for product in found):
        return ()
    return tuple(product for product in found if product.dtype in ("f32", "f64"))
