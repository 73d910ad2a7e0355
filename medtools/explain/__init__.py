"""What a decision rests on: class activation maps and their kin."""
