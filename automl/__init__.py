"""automl: declarative, plugin-based AutoML. Names are imported when they are first used."""
