"""ZFS: pools, datasets, zpool(8) and zfs(8)."""
