"""Files of strangers: looked at before they are believed."""
