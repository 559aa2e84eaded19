"""The rows as people have them: lists and sums to look at (`listing`, `reading`), and what people change (`manual`)."""
