"""The report on recorded sessions: figures, tables, methods, and every number behind them."""
