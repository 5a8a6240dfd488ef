"""The audit log: read it whatever happened to it, follow it, count it, compare it with another policy.

Read it in this order; each line names the modules that matter first.

- One event: ``events`` (a line to its needed fields, bodies as raw bytes), ``events_msgspec`` and ``events_json`` (the two
  readers of that shape), ``damage`` (what is not an event is located and counted; every intact event beside it is kept).
- Files: ``sources`` (which files, in time order), ``reading`` (a file to blocks of events), ``segments`` and ``parallel``
  (one process a core), ``ends`` (the first and last event), ``follow`` (what is appended, across rotation).
- Which events: ``filters`` and ``filter_values``; ``lines`` (one line an event, the stages of a request as one).
- Figures: ``aggregate`` (events by what policies can tell apart), ``replay`` (what another policy would have recorded),
  ``sizes`` (bytes at another level), ``suggest`` (rules that save most), ``volume``, ``forecast``, ``tally`` (counts of a
  node as a file, which add up), ``report_counts`` (the page of ``log report``).
- People: ``requests``, ``object_history``, ``facets``; ``sensitive`` and ``redaction`` keep values out of sight.
"""
