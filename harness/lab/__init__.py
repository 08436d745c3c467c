"""Where the two machines come from: one small interface, and a package for each kind of lab."""
