"""What a file is: the container, its header, and how it takes another's place. It knows no network."""
