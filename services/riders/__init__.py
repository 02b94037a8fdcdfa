"""Companies, their keys and outlets, and the riders they register."""
