"""Methods beside the truth: errors, verdicts, conditions and bounds."""
