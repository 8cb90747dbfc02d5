"""Videos as pictures to look at."""
