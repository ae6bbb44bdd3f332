"""Neurons of a network on other machines."""
