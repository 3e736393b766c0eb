"""Connections to Postgres (the truth) and Valkey (a gate and a bus), group commit, and the migrations."""
