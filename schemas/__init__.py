"""The language of the exchange: units, markets, commands, events, refusals, REST bodies and topic names."""
