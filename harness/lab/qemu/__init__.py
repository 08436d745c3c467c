"""The qemu lab: QEMU processes of the harness's own, no root, no daemon, no plugin."""
