"""The small pools from which random flows and random frames take values, so that they meet."""

from __future__ import annotations

V4 = ("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.99")
V6 = ("fd00::1", "fd00::2", "fd00::3", "fd00::99")
MACS = ("00:00:00:00:00:0a", "00:00:00:00:00:0b", "00:00:00:00:00:0c")
GROUP_MACS = ("01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "01:80:c2:00:00:01", "33:33:00:00:00:01")
TRANSPORT = (80, 1000, 1001)
VIDS = (1, 2)
LAST = 4
"""The last table of the first bridge."""
PEER_LAST = 1
"""The last table of the second bridge."""
METER = "meter=1,kbps,band=type=drop,rate=4000000"
"""A meter of both bridges that drops nothing."""

OVER_V4 = ("ip", "tcp", "udp", "icmp", "sctp", "gre")
OVER_V6 = ("ipv6", "tcp6", "udp6", "icmp6", "nd", "sctp6")
OVER_IP = (*OVER_V4, *OVER_V6)
PORTED = ("tcp", "udp", "tcp6", "udp6", "sctp", "sctp6")
