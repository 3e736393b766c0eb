"""Amounts as cells of a CSV file have them. Pure."""

from app.money import exponent


def plain_amount(amount_minor: int, currency: str) -> str:
    """An amount as a decimal number with a point, without the currency's sign."""
    digits = exponent(currency)
    if not digits:
        return str(amount_minor)
    whole, rest = divmod(amount_minor, 10**digits)
    return f"{whole}.{rest:0{digits}d}"
