"""Real Open vSwitch: private instances, frames through them, and what they remember."""
