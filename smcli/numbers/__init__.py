"""What a number is: as it is written, in a format, and under the operations of a format."""
