"""Faults: each is a context manager that breaks one thing on entering and heals it on leaving.

What a machine can do by itself are methods of `Node` (`paused`, `link_unplugged`, `powered_off`);
here is what needs FreeBSD's help. While a fault lasts it stands in `Node.faults`, and the audit
after each scenario looks on the nodes themselves whether anything is left.
"""
