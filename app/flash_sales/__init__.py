"""Sales, pools and holds: who may buy what, at which price, until when. Knows nothing of payments or orders."""
