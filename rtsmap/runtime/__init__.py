"""How work is carried out on this machine: threads, cores and memory, batching, timing."""
