"""Small tables the package ships."""
