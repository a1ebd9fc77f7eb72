"""What `benchmarks.tracks` compares: links and events with what is known, rates with true ones, time with size."""
