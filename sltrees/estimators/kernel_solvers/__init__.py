"""How kernel ridge regression is solved for few, many and very many samples."""
