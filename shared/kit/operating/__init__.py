"""What operators may ask of every service: its routes at /ops/<service>."""
