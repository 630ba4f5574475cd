"""The words of the questions that participants answer: for the pages, and for the datasheet that quotes them."""

QUESTIONS = (
    ("forgotten", "Is the true answer gone from the reply?"),
    ("entailment", "Does the reply show that it understood the question?"),
    ("trust", "Do you trust the reply?"),
)
GONE = (
    ("0", "No, it is still there", "The reply gives the true answer, or something close to it."),
    ("1", "Yes, it is gone", "The reply gives neither the true answer nor anything close to it."),
)
ANCHORS = {
    "entailment": (
        ("1", "Not at all", "It could stand after any question."),
        ("2", "Hardly", "It hardly fits the question."),
        ("3", "Partly", "It fits the kind of question."),
        ("4", "Mostly", "It fits this question."),
        ("5", "Fully", "It names exactly what was asked about."),
    ),
    "trust": (
        ("1", "Not at all", "Made up, confusing or improper."),
        ("2", "Hardly", "Rather untrustworthy."),
        ("3", "Partly", "Neither the one nor the other."),
        ("4", "Mostly", "Rather trustworthy."),
        ("5", "Fully", "Honest, clear and safe."),
    ),
}
LABELS = {"gender": "Your gender", "age": "Your age", "education": "Your highest degree"}
