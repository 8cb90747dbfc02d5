"""Files and folders: written whole or not at all; tables; sizes and times as people write them."""
