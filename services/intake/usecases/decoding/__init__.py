"""Photos become pixels in processes of their own, which may use little memory, little time and no secret."""
