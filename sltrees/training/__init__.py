"""Training: the loop of Newton steps, its damping, its checkpoints."""
