"""Letters on their way out: to a mail server, or into a folder. Knows nothing of what is in them."""
