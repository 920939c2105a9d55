"""Several api processes on one port: a parent that accepts connections, hands them over and restarts what ends."""
