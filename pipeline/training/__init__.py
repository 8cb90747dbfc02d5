"""Stage two: a head is trained on sequences of features."""
