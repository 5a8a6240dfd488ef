"""Floating-point numbers as Go writes them."""

from __future__ import annotations

import struct


def float_literal(value: float) -> str:
    """Return a float as ``json.Marshal`` writes it: the shortest digits, an exponent below 1e-6 and from 1e21 on."""
    negative, digits, exponent = _decompose(repr(value))
    sign = "-" if negative else ""
    if not -6 <= exponent < 21:
        return f"{sign}{_scientific(digits)}e{'-' if exponent < 0 else '+'}{abs(exponent)}"
    return sign + _positional(digits, exponent)


def float_key(value: float) -> str:
    """Return a float as a map key (``strconv.FormatFloat(value, 'g', -1, 32)``): single precision."""
    try:
        (narrow,) = struct.unpack("<f", struct.pack("<f", value))
    except OverflowError:
        return ".inf" if value > 0 else "-.inf"
    return float_general(_shortest_single(narrow))


def float_general(shortest: str) -> str:
    """Return a float as Go's ``%g`` writes it, from its shortest decimal text: exponents below 1e-4 and from 1e6 on."""
    negative, digits, exponent = _decompose(shortest)
    sign = "-" if negative else ""
    if not -4 <= exponent < 6:
        return f"{sign}{_scientific(digits)}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    return sign + _positional(digits, exponent)


def _shortest_single(value: float) -> str:
    # nine digits tell any two of single precision apart
    texts = (f"{value:.{precision}g}" for precision in range(1, 10))
    return next(text for text in texts if struct.pack("<f", float(text)) == struct.pack("<f", value))


def _decompose(text: str) -> tuple[bool, str, int]:
    """Return sign, digits without outer zeros, and the power of ten of the first digit."""
    mantissa, _, power = text.lower().lstrip("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    leading = len(whole + fraction) - len(digits)
    return text.startswith("-"), digits.rstrip("0") or "0", len(whole) - leading - 1 + int(power or 0)


def _scientific(digits: str) -> str:
    return digits if len(digits) == 1 else f"{digits[0]}.{digits[1:]}"


def _positional(digits: str, exponent: int) -> str:
    if digits == "0":
        return "0"
    if exponent < 0:
        return "0." + "0" * (-exponent - 1) + digits
    whole = digits[: exponent + 1].ljust(exponent + 1, "0")
    fraction = digits[exponent + 1 :]
    return f"{whole}.{fraction}" if fraction else whole
