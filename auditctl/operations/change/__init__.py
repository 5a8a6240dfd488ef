"""The engine of every changing verb: preflight, session, run, watchdog, report."""
