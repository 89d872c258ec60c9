"""Brings batches to the devices, from device memory or from the host."""
