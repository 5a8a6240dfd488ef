"""The manifest: lossless YAML, the Pod in it, and the plan that changes it. PURE: text in, text out.

Read it in this order: ``document`` (text to located nodes), ``pod`` (what the Pod says), ``plan`` (what should change),
``merge`` (undo beside a stranger's edit).
"""
