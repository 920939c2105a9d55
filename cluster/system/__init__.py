"""What every node stands on: supervised loops, TLS, child processes, addresses, ECS metadata, memory."""
