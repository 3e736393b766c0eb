"""Hawker: live-stream shopping. Rooms, a media relay, a stock gate and a checkout in one service."""
