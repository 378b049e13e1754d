"""Change scripts applied to a network, and the gate that judges them."""
