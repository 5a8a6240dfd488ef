"""One module a verb: calls rooms in order, returns a Report. No prints, no typer."""
