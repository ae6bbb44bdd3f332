"""What is built on trees: keys, draws by priority, events, windows, products of weights; in `sltrees`, too."""
