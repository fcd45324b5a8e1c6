"""WordPress, by its REST API v2 and an application password."""
