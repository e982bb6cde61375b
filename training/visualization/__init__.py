"""Pictures of labels, targets and predictions, for a person to judge."""
