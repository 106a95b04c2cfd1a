"""`python -m app …`: the command line of the exchange.

What is imported is never garbage. The cyclic collector would look at it a dozen times while the process starts and once more
when it ends, a third of the time of a short command.
"""

import atexit
import gc

gc.set_threshold(200_000)  # more than any of them imports
atexit.register(gc.freeze)

from app.cli import main  # noqa: E402 - the collector is set before anything is imported

if __name__ == "__main__":
    main()
