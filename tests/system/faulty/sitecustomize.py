"""Python imports this automatically where the folder is on PYTHONPATH: it puts the bug named FAULT into the process."""

import os

from tests.system.mutations import put_in

put_in(os.environ["FAULT"])
