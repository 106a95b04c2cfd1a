-- Market data: the book by price, the public trades by time, and candles that cost the same however many trades there were.

-- The resting orders of a side in the order of the book. Nothing in it changes while an order lives, so that updates stay HOT.
CREATE INDEX orders_book ON orders (market_id, side, price) WHERE is_live;

-- One row a trade of the book: a take-over and a deleveraging have no order, and are no trades of the market.
CREATE INDEX fills_public ON fills (market_id, at, trade_id) WHERE role = 'TAKER' AND order_id IS NOT NULL;

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
