"""Runs made up for tests of figures and reports: their numbers are chosen, so that what is drawn of them is known."""

from unedit_gui.runs import Run, Settings

HOSTILE = "</script><img src=x onerror=alert(1)>&amp;$x^2$ \\input{a} |_*`"


def made(
    method="rome", targets="vanilla", facts=10, merge=1, seed=0, forget=0.1, retain=0.8, rephrased=0.2, **more
) -> Run:
    """A run with these averages after its edit; before it everything was answered. None: not measured."""
    asked = tuple(
        {"question": f"Question {i} of seed {seed}?", "answer": "Yes", "subject": "Question", "rephrases": []}
        for i in range(facts)
    )
    settings = Settings(
        more.pop("model", "bundled"),
        more.pop("fingerprint", "f" * 16),
        method,
        targets,
        merge,
        seed,
        more.pop("hparams", {"lr": 0.2}),
        more.pop("asked", asked),
        ({"question": "Stays?", "answer": "Yes"},) if retain is not None else (),
        more.pop("protect", ()),
    )

    def group(value, n=facts):
        if value is None:
            return {"rouge1": None, "n": 0}
        return {"rouge1": value, "probability_normalised": value / 2, "mrr": value / 4, "hit_ratio": value / 8, "n": n}

    after = {"forget": group(forget), "retain": group(retain, 1), "rephrased": group(rephrased)}
    before = {name: group(None if values["rouge1"] is None else 1.0) for name, values in after.items()}
    scored = retain is not None
    score = {"before": 1.0 if scored else None, "after": 1 - forget + retain if scored else None}
    scores = {"before": before, "after": after, "score": score, "notes": []}
    taught = more.pop("taught", ())
    return Run(settings, **{"scores": scores, "targets": taught, "name": f"{method}, seed {seed}", **more})


def row(question, before, after, group="forget", rouge1=(1.0, 0.0)):
    """A row of replies, as scores have it."""
    sides = [{"text": text, "rouge1": value} for text, value in zip((before, after), rouge1, strict=True)]
    return {"group": group, "question": question, "answer": "Yes", "before": sides[0], "after": sides[1]}
