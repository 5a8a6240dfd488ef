"""Tools for lab authors and users: webhook receiver, scenario scaffold, demo, single file."""
