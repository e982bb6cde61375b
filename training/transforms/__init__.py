"""From a labelled photo to what the network sees and should say: augmentation, copy-paste, targets."""
