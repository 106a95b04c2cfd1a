"""The places of this process in consumer groups, and the removal of members whose process is gone."""
