"""What happened in a shop, told to the shop's own servers."""
