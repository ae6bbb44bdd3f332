"""What the scripts share: data, cases, other methods, tables."""
