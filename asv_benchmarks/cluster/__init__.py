"""What training on a cluster costs: measured, simulated, and what crosses the network."""
