"""What accounts tells others: that a person has signed out. Owns the Protocol; features above implement it."""

from typing import Protocol


class SignOutListener(Protocol):
    """Implemented by flash_sales: a person who leaves keeps nothing from the others."""

    async def signed_out(self, person: str) -> None:
        """Must be harmless when repeated. What fails here ends by itself later."""
