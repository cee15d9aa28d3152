"""Publish a trained network: ready weights in one small file, with a card."""
