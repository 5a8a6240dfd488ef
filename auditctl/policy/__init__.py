"""What the API server makes of an audit policy: is it legal, what does it say, which rule decides.

Pure: bytes and strings in, frozen values out. Nothing here opens a file, asks the time or prints.

Words: ``types`` (those of `audit.k8s.io/v1` as values).

Text to policy, in the order of the server's own steps:

- ``goyaml``    YAML and JSON as the server's libraries read them, with places
- ``kinds``     which object a text says it is
- ``schema``    the Go types; ``decode`` puts values into their shape (``timestamps``: one of them parses itself)
- ``draft``     fields to a policy as written, and a legal one to a ``Policy``
- ``validate``  which policies are legal (`validation.go`)
- ``advice``    complaints to findings, with what to write instead
- ``load``      all of it: the server's verdict, its words, what it drops silently

Request to decision:

- ``request``   HTTP method and URL to attributes (`requestinfo.go`); ``selectors`` judges their query
- ``shorthand`` ``get pods/log web-0 in test by alice`` to attributes
- ``evaluate``  attributes to a decision (`checker.go`)
- ``compiled``  the same for many requests (``plain`` reads the plain URLs; what it cannot, ``request`` does)
- ``explain``   the same told to a human
- ``compare``   which requests two policies decide otherwise; ``regions`` has one request for each set of rules that apply
- ``lint``      what is legal and surely not meant (``lint_selectors``, ``lint_decisions``, ``lint_checks``)
- ``convert``   old versions to v1, every other byte kept
- ``matrix``    all of it as a picture (``matrix_rows``, ``matrix_lines``, ``matrix_words``), and as a page (``matrix_html``)
- ``expectations`` requests with the decision they should get: a policy's unit tests
"""
