"""The demo shop: what a first visitor finds. Only in demo mode; nothing else depends on it."""
