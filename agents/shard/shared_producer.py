"""The one producer of all markets of a process: their records are under way together, those of each topic in order."""

from broker.producer import AckedProducer


class SharedProducer:
    """Connected while a market uses it. What it knows of a topic is forgotten when the topic's market leaves."""

    def __init__(self, bootstrap: str, about: str = "") -> None:
        self.producer = AckedProducer(bootstrap, about)
        self._topics: set[str] = set()

    async def join(self, *topics: str) -> None:
        """Connect, before the first record of these topics; raises KafkaConnectionError when the broker is unavailable."""
        self._topics.update(topics)
        await self.producer.start()

    async def leave(self, *topics: str) -> None:
        """Disconnect when these were the last topics."""
        self._topics.difference_update(topics)
        for topic in topics:
            self.producer.forget(topic)
            self.producer.give_up(topic)
        if not self._topics:
            await self.producer.stop()
