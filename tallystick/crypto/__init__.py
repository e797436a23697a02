"""Part of Tallystick."""
