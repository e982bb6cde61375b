"""From annotation tools' exports to folders that can be trained on."""
