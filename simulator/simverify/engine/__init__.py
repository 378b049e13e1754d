"""The one executor: states, look-up, actions, groups, learning, conntrack and NAT."""
