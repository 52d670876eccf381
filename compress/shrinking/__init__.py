"""Pruning to a budget of true MACs, and quantization."""
