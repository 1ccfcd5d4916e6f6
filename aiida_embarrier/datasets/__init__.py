"""Tables of barriers and properties as plain data: how they are written, and what they say."""
