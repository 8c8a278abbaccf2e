"""What a command found, as nouns and as the documents that scripts rely on."""
