"""The manifest: lossless YAML, the Pod in it, and the plan that changes it. PURE: text in, text out.

Read it in this order: ``document`` (text to located nodes), ``pod`` (what the Pod says), ``flag_targets`` and ``mount_plan``
(what should be there), ``plan`` (what should change, the new text, the proof), ``three_way_merge`` (undo beside an edit of
somebody else).
"""
