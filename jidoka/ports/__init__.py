"""What jidoka needs from the world around it, as protocols."""
