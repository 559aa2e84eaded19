"""Work without people: the jobs, the loop that calls them without a queue, and the background sync of a page."""
