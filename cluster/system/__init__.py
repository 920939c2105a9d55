"""What every node builds on: supervised loops, TLS, child processes, addresses, ECS metadata, memory."""
