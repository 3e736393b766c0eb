"""The HTTP edge: one table of endpoints from which routing, validation, OpenAPI and the rights matrix come."""
