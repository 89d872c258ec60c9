"""Drivers over devices and processes; the only folder that names meshes and `pmap`."""
