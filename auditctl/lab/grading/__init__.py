"""The grader: requirements and how each is judged."""
