"""One account, all markets: margin, admission of orders, liquidation."""
