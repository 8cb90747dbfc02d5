"""From decoded frames to what the network takes."""
