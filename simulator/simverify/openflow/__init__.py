"""Open vSwitch's language: matches, actions, flows, groups, meters, and scripts that change them."""
