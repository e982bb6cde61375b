"""From a labelled image to what the network sees and should say: augmentation, copy-paste, targets."""
