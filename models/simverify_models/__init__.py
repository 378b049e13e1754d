"""Pod, gateway, host routing, bridge, uplink, kube-proxy and underlay as elements."""
