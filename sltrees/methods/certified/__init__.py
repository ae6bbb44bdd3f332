"""Method "certified": visit only the neurons that may have changed their firing pattern."""
