"""The engine of every changing verb: preflight, session, run, watchdog, report.

``engine`` runs a verb; ``session`` takes the lock and finishes what an interrupted run left; ``live_run`` decides, asks and
performs; ``restart_strategy`` decides whether a restart needs a new Pod; ``run`` performs the change and waits for process,
readiness and receipt; ``two_renames`` brings the new text; ``watchdog`` finishes or undoes the change of a run that was
killed (docs/explanation/how-a-change-works.md); ``turn`` takes the cluster's Lease; ``standby`` bridges the outage.
"""
