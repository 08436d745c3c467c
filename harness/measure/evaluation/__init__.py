"""What measurements say: statistics, the model of a resync, tables and plots; touches no node."""
