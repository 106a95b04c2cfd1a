"""A worker like `worker_process`, whose engine breaks at poison."""

from exchange import journal
from tests.agents import poison, worker_process

if __name__ == "__main__":
    journal.apply = poison.broken_apply
    worker_process.main()
