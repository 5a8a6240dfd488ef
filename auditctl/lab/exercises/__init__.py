"""Exercises: faults to find and tasks to do, their state, and the way back."""
