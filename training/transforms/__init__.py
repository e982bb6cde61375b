"""Network inputs and targets from labelled images: augmentation, copy-paste, target encoding."""
