"""Scripts that measure sltrees beside what else one would use; each is run by its path."""
