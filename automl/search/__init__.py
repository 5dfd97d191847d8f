"""The race: from candidates to an ensemble."""
