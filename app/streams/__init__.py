"""Shows and what is on air in them: line-up, pins, stream keys, WHIP and WHEP, the media relay."""
