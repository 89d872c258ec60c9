"""The quotient of a product that is too large for one machine word."""

from typing import Any

import numpy as np


def divide_product(number: Any, factor: Any, divisor: int, largest_factor: int) -> tuple[Any, Any]:
    """Returns the quotient and the remainder of number · factor / divisor, exactly.

    The product may overflow the word of 32 or 64 bits, so the quotient is computed digit by digit,
    as in long division on paper. The factor is split into digits of so few bits that a remainder
    (below the divisor) shifted by one digit, plus a product of a digit, still fits in the word.

    Args:
        number: an unsigned array of NumPy or JAX, traced or not.
        factor: an unsigned array of the same type, or a Python integer.
        divisor: a number below half the word's largest.
        largest_factor: an upper bound on `factor`.
    """
    word = number.dtype.type
    digit_bits = 8 * number.dtype.itemsize - 1 - divisor.bit_length()
    num_digits = -(-largest_factor.bit_length() // digit_bits)
    factor = factor if hasattr(factor, "dtype") else word(factor)
    mask = word((1 << digit_bits) - 1)
    divisor_ = word(divisor)
    rest = number % divisor_
    quotient = remainder = number - number
    for place in reversed(range(num_digits)):
        digit = (factor >> word(place * digit_bits)) & mask
        value = (remainder << word(digit_bits)) + rest * digit
        quotient = (quotient << word(digit_bits)) + value // divisor_
        remainder = value % divisor_
    return (number // divisor_) * factor + quotient, remainder


def as_unsigned(number: Any) -> Any:
    """Converts an array of integers of at least 0 to the unsigned type of the same width."""
    return number.astype(np.dtype(f"uint{8 * number.dtype.itemsize}"))
