"""What a shop has to sell: products, variants, photos, and stock on hand."""
