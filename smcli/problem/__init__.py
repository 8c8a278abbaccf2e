"""What was asked: settings, and the problems that they and the rows make."""
