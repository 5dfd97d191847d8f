"""From anything that a person has to arrays that a model eats: read, schema, split, views."""
