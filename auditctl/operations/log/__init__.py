"""`log ...`: tail, top, stats, forecast."""
