"""The audit log: read it whatever happened to it, follow it, count it, replay it against another policy.

- ``events``     a line to an event: only the needed fields, bodies as raw bytes (``events_msgspec``, else ``events_json``)
- ``damage``     what is not an event: located, named, counted; every intact event beside it is found
- ``blocks``     a file to blocks of events; ``sources`` which files, in time order; ``across`` one process a core
- ``sizes``      bytes of an event at another level; ``sensitive`` requests that must not fall out of sight
- ``cells``      a policy's decisions by attribute tuple; ``replay`` what it would have made of recorded traffic
- ``suggest``    rules that would save most, each with its proof
- ``volume``     who and what makes the volume; ``rates`` events over time; ``forecast`` rotation and batching values
- ``filters``    which events are asked for; ``lines`` one line an event; ``fold`` the stages of a request as one
- ``follow``     what is appended, across rotation and truncation; ``backward`` the last ones first
"""
