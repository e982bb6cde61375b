"""Studies across runs and machines: ablations, variants, latency, training throughput, the matcher."""
