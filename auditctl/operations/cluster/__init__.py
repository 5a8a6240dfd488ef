"""A whole cluster at one look, read only."""
