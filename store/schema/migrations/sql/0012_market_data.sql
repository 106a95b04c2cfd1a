-- Market data: candles that cost the same however many trades there were. Its indexes, of the book by price and of the public
-- trades by time, are in indexes/: these tables are large.

-- What the trades of a minute (`span_s` 60) or an hour (3600) come to; no row where nothing was traded. They hold every trade
-- up to the market's cursor; whoever reads adds those behind it. Prices are ticks, quantity lots, notional micros.
-- `opened_by` and `closed_by` are its first and last trade: a trade's time is its order's, and need not follow the counter.
CREATE TABLE candles (
  market_id int4 NOT NULL,
  span_s int4 NOT NULL,
  start timestamptz NOT NULL,
  open int8 NOT NULL,
  high int8 NOT NULL,
  low int8 NOT NULL,
  close int8 NOT NULL,
  quantity numeric NOT NULL,
  notional numeric NOT NULL,
  trades int8 NOT NULL,
  opened_by int8 NOT NULL,
  closed_by int8 NOT NULL,
  PRIMARY KEY (market_id, span_s, start)
);
CREATE TABLE candle_cursors (
  market_id int4 PRIMARY KEY REFERENCES markets,
  trade_id int8 NOT NULL
);
