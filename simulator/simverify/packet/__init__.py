"""The field table, headers, and their wire form."""
