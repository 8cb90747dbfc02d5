"""Pages that are one file each, to be opened in a browser: reports, the data set, the player."""
