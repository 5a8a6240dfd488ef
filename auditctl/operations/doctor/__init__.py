"""`doctor`: collect observations, name causes, repair what has one safe repair."""
