"""A standby server: its Pod beside the first, the redirect of new connections to it, its log, and what it needs."""
