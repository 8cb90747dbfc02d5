"""What a head says, and how right it is."""
