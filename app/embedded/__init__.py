"""Starts and stops the bundled Postgres and Valkey when no URL is given. Knows nothing of what is stored in them."""
