"""Accuracy of a parser: metrics, robustness to perturbations, threshold tuning, error analysis."""
