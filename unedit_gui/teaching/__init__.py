"""Teaching: a model learns questions and answers, and becomes a model of its own."""
