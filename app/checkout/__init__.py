"""Orders and payments: from a hold to an order that exists exactly once, and money that agrees with it."""
