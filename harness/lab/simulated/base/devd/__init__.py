"""devd(8): what it does about what the kernel announces."""
