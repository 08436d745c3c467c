"""FreeBSD's images: looked for, looked into, downloaded."""
