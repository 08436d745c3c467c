"""Programs that set and show the network: ifconfig, ping, ipfw, pfctl, tcpdump."""
