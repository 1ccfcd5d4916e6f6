"""Models that learn from datasets: graphs of crystals, ALIGNN, transfer between properties, training."""
