"""HTTP: the API, the pages people use, and the blog their readers see."""
