"""Small servers on loopback that speak the documented APIs of third parties, and misbehave on demand."""
