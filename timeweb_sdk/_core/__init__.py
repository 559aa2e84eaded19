"""The hand-written machinery under the generated surface. Nothing here is public."""
