"""Two trees of this repository beside each other, measured in turn on one machine."""
