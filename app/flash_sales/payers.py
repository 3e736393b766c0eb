"""Who may not pay just now, and so takes nothing: a hold of theirs would keep a unit from the others, again and again.

Owns the question alone. Who answers it is told with the composition: payments are a higher feature's.
"""

from typing import Protocol

from app.refusal import Refusal


class Payments(Protocol):
    """Knows who has to wait before they may pay."""

    def refuse(self, person: str) -> Refusal | None:
        """Why this person cannot pay now; None for go on. From memory."""
        ...


class Payers:
    """Asks `payments`, once it is set; until then everybody may pay."""

    payments: Payments | None = None

    def refuse(self, person: str) -> Refusal | None:
        """As Payments."""
        return self.payments.refuse(person) if self.payments is not None else None
