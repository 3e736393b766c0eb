"""Who someone is and what they may do: accounts, sign-in, sessions, tickets, rights."""
