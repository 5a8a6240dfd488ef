"""YAML 1.1 exactly as the API server's library reads it (go-yaml v2 under `sigs.k8s.io/yaml`), and its JSON.

Bytes in, a tree of values with places out, or the library's own complaint. Why not ruamel.yaml here: its scanner
comes from PyYAML and differs where verdicts are made (simple keys, tabs, plain scalars in flow context, escapes, depth
limits, the line an error is put on), and its events cost 40 microseconds each: 64 KB of dense flow take longer than
the second that a policy may take. Manifests, which the *kubelet* reads, are ruamel's (`manifest/document.py`).

Layers, each calling only the ones above it:

- ``faults``    the one exception
- ``source``    bytes to characters: encodings, control characters
- ``tokens``    what the scanner hands over
- ``scalars``   plain, quoted and block scalars
- ``properties`` anchors, tags, directives
- ``queue``     tokens that may be keys, indentation
- ``scanner``   characters to tokens
- ``parser``    tokens to events: the grammar, over the stack of ``states``
- ``nodes``     events to nodes: what aliases mean
- ``resolve``   which plain scalars are numbers, booleans, null
- ``construct`` nodes to values: aliases, merge keys, duplicate keys
- ``values``    the tree, shared with ``json``
- ``json``      Go's `encoding/json`, with places and duplicate keys kept
- ``quoting``   how Go prints a value in a message
"""
