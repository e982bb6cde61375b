"""How good a parser is: metrics, robustness to perturbations, threshold tuning, error analysis."""
