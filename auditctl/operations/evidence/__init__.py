"""Evidence that auditing works: receipt, webhook delivery, counters, trial start, last known good policy."""
