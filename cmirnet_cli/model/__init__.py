"""Tensors to `Logits`: the network of CMIRNet and its loss."""
