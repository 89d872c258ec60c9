"""Decoding, cropping and augmenting images."""
