"""What the API server makes of an audit policy: is it legal, what does it say, which rule decides.

Pure: bytes and strings in, frozen values out. Nothing here opens a file, asks the time or prints.

- ``types``      the words of `audit.k8s.io/v1` as values
- ``request``    HTTP method and URL to attributes (`requestinfo.go`); ``selectors`` reads their query
- ``shorthand``  ``get pods/log web-0 in test by alice`` to attributes
- ``evaluate``   attributes to a decision (`checker.go`)
- ``explain``    the same told to a human
- ``load``       text to policy: the server's verdict, its words, what it drops silently
- ``validate``   which policies are legal (`validation.go`)
"""
