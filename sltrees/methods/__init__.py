"""How a step finds which neurons fire: one module a method."""
