"""`policy ...`: validate, explain, compare, convert, replay, suggest."""
