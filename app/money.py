"""Money as integer minor units with an ISO 4217 currency. There is no float and no mixing of currencies here."""

from typing import Final

import msgspec

AMOUNT_MINOR_MAX: Final = 10**12
"""No price, line or total exceeds this: ten billion of a two-decimal currency."""

# ISO 4217, list one (2026): the exponent where it is not 2.
_EXPONENTS: Final = {
    "BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0,
    "RWF": 0, "UGX": 0, "UYI": 0, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
    "BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
}  # fmt: skip
CURRENCIES: Final = frozenset(
    [
        "AED",
        "ARS",
        "AUD",
        "BRL",
        "CAD",
        "CHF",
        "CNY",
        "CZK",
        "DKK",
        "EUR",
        "GBP",
        "HKD",
        "HUF",
        "IDR",
        "ILS",
        "INR",
        "MXN",
        "MYR",
        "NOK",
        "NZD",
        "PHP",
        "PLN",
        "RON",
        "SAR",
        "SEK",
        "SGD",
        "THB",
        "TRY",
        "TWD",
        "USD",
        "ZAR",
    ]
) | frozenset(_EXPONENTS)


class Money(msgspec.Struct, frozen=True):
    """An amount in minor units (cents for EUR, yen for JPY) and its ISO 4217 currency."""

    amount_minor: int
    currency: str

    def __post_init__(self) -> None:
        assert self.currency in CURRENCIES, self.currency
        assert abs(self.amount_minor) <= AMOUNT_MINOR_MAX, self.amount_minor

    def times(self, quantity: int) -> "Money":
        """The price of `quantity` units. Overflow past AMOUNT_MINOR_MAX is an AssertionError: check first."""
        return Money(self.amount_minor * quantity, self.currency)


def exponent(currency: str) -> int:
    """How many decimals the currency has: 0, 2 or 3."""
    assert currency in CURRENCIES, currency
    return _EXPONENTS.get(currency, 2)


def step(currency: str) -> int:
    """Whatever is charged is a multiple of this, in minor units: cards take thousandths only in tens."""
    return 10 if exponent(currency) == 3 else 1


def percent_off(list_minor: int, percent: int, step_minor: int = 1) -> int:
    """The price after a discount of `percent` (1..99), rounded down to a step of its currency (in the buyer's
    favour), never below one.
    """
    assert 1 <= percent <= 99, percent
    return max(step_minor, list_minor * (100 - percent) // 100 // step_minor * step_minor)
