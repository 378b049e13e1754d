"""Prove Open vSwitch flows, request and reply, before they touch a switch."""
