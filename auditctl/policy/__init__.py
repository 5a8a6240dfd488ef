"""What the API server makes of an audit policy: is it legal, what does it say, which rule decides.

Pure: bytes and strings in, frozen values out. Nothing here opens a file, asks the time or prints.

Words: ``types`` (those of `audit.k8s.io/v1` as values).

Text to policy, in the order of the server's own steps:

- ``goyaml``    YAML and JSON as the server's libraries read them, with places
- ``type_meta`` which object a text says it is
- ``schema``    the Go types; ``decode`` puts values into their shape (``timestamps``: one of them parses itself)
- ``unvalidated`` fields to a policy as written, and a legal one to a ``Policy``
- ``validate``  which policies are legal (`validation.go`)
- ``advice``    complaints to findings, with what to write instead
- ``load``      all of it: the server's verdict, its words, what it drops silently

Request to decision:

- ``request``   HTTP method and URL to attributes (`requestinfo.go`); ``fast_request`` reads the plain URLs
- ``shorthand`` ``get pods/log web-0 in test by alice`` to attributes
- ``evaluate``  attributes to a decision: here an event is matched with a rule (`checker.go`)
- ``compiled``  the same for many requests; ``first_match`` for policies of thousands of rules
- ``explain``   the decision for a person, and why the rules before it do not apply
- ``compare``   which requests two policies decide otherwise; ``request_classes`` has one request for each set of rules that apply
- ``lint``      what is legal and surely not meant (``lint_checks`` has the names, reasons and examples)
- ``convert``   old versions to v1, every other byte kept
- ``matrix``    all of it as a picture
- ``coverage``  which public detections can fire (``detections``)
- ``expectations`` requests with the decision they should get: a policy's unit tests
"""
