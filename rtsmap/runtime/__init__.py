"""How work is executed on this machine: threads, cores and memory, batch sizes, times, and failures."""
