"""What the kernel ridge techniques share."""
