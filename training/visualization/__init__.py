"""Images of labels, targets and predictions, for people to judge."""
