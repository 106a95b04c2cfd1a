"""The one producer of all publishers of a process: their records are under way together, those of each market in order."""

from broker.producer import AckedProducer


class SharedProducer:
    """Connected while a market publishes. What it knows of a topic is forgotten when the topic's market leaves."""

    def __init__(self, bootstrap: str, about: str = "") -> None:
        self.producer = AckedProducer(bootstrap, about)
        self._topics: set[str] = set()

    async def join(self, topic: str) -> None:
        """Connect, before the first record of this topic; raises KafkaConnectionError when the broker is unavailable."""
        self._topics.add(topic)
        await self.producer.start()

    async def leave(self, topic: str) -> None:
        """Disconnect when this was the last topic."""
        self._topics.discard(topic)
        self.producer.forget(topic)
        self.producer.give_up(topic)
        if not self._topics:
            await self.producer.stop()
