"""The heap size of a local Kafka, in the format of `-Xmx`."""

import re

DEFAULT_HEAP = "256m"
MIB_MIN, MIB_MAX = 128, 64 * 1024


def check_heap(text: str) -> str:
    """The same text if it is a heap size that Kafka can run with; ValueError otherwise."""
    matched = re.fullmatch(r"([1-9][0-9]{0,5})([mg])", text)
    mib = int(matched[1]) * (1024 if matched[2] == "g" else 1) if matched else 0
    if not MIB_MIN <= mib <= MIB_MAX:
        raise ValueError("must be 128m to 64g, such as 512m")
    return text
