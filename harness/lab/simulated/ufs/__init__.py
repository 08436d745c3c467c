"""UFS: the file system, its format, fsck_ffs(8)."""
