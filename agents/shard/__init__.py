"""What engines, projections and publishers share: a shard's Faust app, the markets in it, and where each log is read from."""
