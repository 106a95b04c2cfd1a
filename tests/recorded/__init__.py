"""Recorded logs: proof that a change of the code's structure changes nothing that anybody outside can see.

The inputs are wire bytes (data/stories.jsonl, data/crash_day.jsonl.xz, data/forced.jsonl) or plain JSON that a seeded
generator makes without the exchange's code (course.py). Nothing recorded depends on a class name or a module path:
`door.py` alone imports the engine, `day.py` the crash day and the REST API. What the logs lead to is kept as digests:
events, event records, chain hashes, snapshots, public fills, and the REST answers on the crash day.

    python -m tests.recorded          records everything again
    pytest tests/recorded             compares and names the first case, command and field that differ

Record again only when the rules version moves, or when bytes are meant to change, and then in a commit of its own whose
body says why. A refactoring never does: there a difference is a bug of the refactoring.
"""
