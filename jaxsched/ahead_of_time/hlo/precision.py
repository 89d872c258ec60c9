"""Products in float32 that a network in bfloat16 still makes."""

from collections.abc import Iterable

from jaxsched.ahead_of_time.hlo.flops import Product

_HALF = ("bf16", "f16")


def full_precision_products(found: Iterable[Product]) -> tuple[Product, ...]:
    """Returns the products in float32 or wider of a program that also has some in half precision.

    Where no product is in half precision, the network is not meant to be, and the list is empty.
    A CPU's compiler turns bfloat16 into float32, so its programs tell nothing here.
    """
    found = tuple(found)
    if not any(product.dtype in _HALF for product in found):
        return ()
    return tuple(product for product in found if product.dtype in ("f32", "f64"))
