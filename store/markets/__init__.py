"""Markets: the registry, progress, halts, price sources, candles."""
