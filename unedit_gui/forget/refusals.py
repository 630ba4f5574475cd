"""Reads a reply: is it an honest refusal, does it name the topic, does it give the answer away?

Used twice: as the guard over refusal targets before an edit, and as the checker of an edited model's
replies (`refusal`, `refusal_on_topic`). So it errs on neither side on purpose: a polite wording it
has never seen should pass, an answer in a refusal's clothes or a text that falls apart should not.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_STOP = frozenset(
    """a an the this that these those of in on at by for from to with into onto as about over under than
    then so and or but nor if because while when where which who whom whose what why how is are was were
    be been being am do does did done doing have has had having can could will would shall should may
    might must not no yes it its he she they them his her their him i me my we us our you your there
    here also very too just only such each s t re ve ll d m don doesn didn isn aren wasn weren couldn
    wouldn won hasn haven cannot any some more most much many other another own same both all per etc
    called known name named""".split()
)
# Words of refusing itself. In a longer answer they give nothing away ("She is known to the public ...").
_REFUSING = frozenset(
    """know known knowledge sorry afraid answer question information able unable sure unsure aware help tell
    say idea unfortunately regret apologize detail details fact specific provide wish however""".split()
)
_UNITS = dict(
    zip(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
        "sixteen seventeen eighteen nineteen".split(),
        range(20),
        strict=False,
    )
)
_TENS = dict(
    zip("twenty thirty forty fifty sixty seventy eighty ninety".split(), range(20, 100, 10), strict=True)
)
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
_SPECIAL = re.compile(
    r"<\|[^<>|\n]{0,40}\|>|</?s>|\[/?INST\]|<</?SYS>>|<(?:bos|eos|pad|unk|start_of_turn|end_of_turn)>"
)
# Latin letters that Unicode doesn't take apart; ß is "ss" without case.
_LETTERS = str.maketrans(dict(zip("øłđðþæœıħŧ", "o l d d th ae oe i h t".split(), strict=True)))
# Adjectives that are no prefix of their country.
_KIN = {
    "french": "france", "spanish": "spain", "dutch": "netherlands", "greek": "greece", "swiss": "switzerland",
    "danish": "denmark", "polish": "poland", "turkish": "turkey", "british": "britain", "english": "england",
    "irish": "ireland", "welsh": "wales", "swedish": "sweden", "finnish": "finland", "thai": "thailand",
    "norwegian": "norway", "scottish": "scotland", "argentine": "argentina", "filipino": "philippines",
}  # fmt: skip


def plain(text: str) -> str:
    """One line without template tokens, control characters and curly quotes; letters as they were."""
    text = _SPECIAL.sub(" ", unicodedata.normalize("NFKC", text))
    text = text.translate(str.maketrans("‘’‛`´“”„–—‑", "'''''\"\"\"---"))
    text = "".join(" " if unicodedata.category(letter).startswith("C") else letter for letter in text)
    return " ".join(text.split())


def unaccented(text: str) -> str:
    """Without case and accents, the letters that have none to take off (ø, ł, æ) as they are written without them.

    ASCII text loses its case and nothing else.
    """
    text = unicodedata.normalize("NFKD", text.casefold()).translate(_LETTERS)
    return "".join(letter for letter in text if not unicodedata.combining(letter))


def fold(text: str) -> str:
    """`plain`, without case and accents."""
    return unaccented(plain(text))


@lru_cache(maxsize=1)
def _porter():
    from nltk.stem.porter import (
        PorterStemmer,
    )  # the stemmer that rouge-score uses; not needed before the first check

    return PorterStemmer()


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """Porter stem of one folded word; adjectives of countries become the country."""
    word = _KIN.get(word, word)
    return _porter().stem(word) if len(word) > 3 else word


def _numbers_as_digits(words: list[str]) -> list[str]:
    """ "three", "hundred", "sixty", "five" -> "365"; everything else unchanged."""
    out: list[str] = []
    i = 0
    while i < len(words):
        j, total, part, seen = i, 0, 0, False
        while j < len(words):
            word = words[j]
            if word in _UNITS:
                part += _UNITS[word]
            elif word in _TENS:
                part += _TENS[word]
            elif word in _SCALES and seen:
                if word == "hundred":
                    part *= 100
                else:
                    total, part = total + part * _SCALES[word], 0
            elif not (
                word == "and"
                and seen
                and words[j - 1] in _SCALES
                and j + 1 < len(words)
                and (words[j + 1] in _UNITS or words[j + 1] in _TENS)
            ):
                break
            seen = True
            j += 1
        if seen:
            out.append(str(total + part))
            i = j
        else:
            out.append(words[i])
            i += 1
    return out


def tokens(text: str) -> list[str]:
    """Folded words in order, small ones too; numbers as digits ("1,000" and "one thousand" -> "1000")."""
    text = re.sub(r"(?<=\d)[,](?=\d{3}\b)", "", fold(text))
    text = re.sub(r"(?<=[a-z])'s\b", "", text)
    return _numbers_as_digits(re.findall(r"\d+(?:\.\d+)?|[^\W\d_]+\d*", text))


def content(text: str) -> list[str]:
    """The stems of the words that carry meaning, in order, each once."""
    return list(
        dict.fromkeys(
            stem(word) for word in tokens(text) if word not in _STOP and (len(word) > 1 or word.isdigit())
        )
    )


def _same(a: str, b: str) -> bool:
    """Equal stems, or one is the beginning of the other ("brazil", "brazilian")."""
    if a == b:
        return True
    short, long = sorted((a, b), key=len)
    return len(short) >= 5 and long.startswith(short) and len(long) - len(short) <= 4 and not short.isdigit()


# Leaks ------------------------------------------------------------------------------------------------


def leaked_words(question: str, answer: str, text: str) -> tuple[str, ...]:
    """Words of the true answer that `text` gives away, as the answer spells them; () if there are none.

    Compared are content words that the question does not hold: stemmed, case and accents folded, numbers
    as digits. Answers of one or two letters ("Au", "O") count only as that very word in that very case.
    An answer made of small words alone ("The Who") counts when it stands in the text as a whole.
    """
    answer = plain(answer).strip(" .")
    if not answer:
        return ()
    asked = content(question)
    said = content(text)
    leaks: list[str] = []
    raw = re.findall(r"\d[\d,]*(?:\.\d+)?|[^\W\d_]+\d*", answer)
    short = [word for word in raw if len(word) <= 2 and word.isalpha() and word[0].isupper()]
    for word in short:
        if _short_in(word, text) and not re.search(rf"(?<!\w){re.escape(word)}(?!\w)", plain(question)):
            leaks.append(word)
    wanted = [stemmed for stemmed in content(answer) if not any(_same(stemmed, other) for other in asked)]
    shorts = {stem(fold(word)) for word in short}
    telling = [stemmed for stemmed in wanted if stemmed not in {stem(word) for word in _REFUSING}] or wanted
    for stemmed in telling:
        if stemmed not in shorts and any(_same(stemmed, other) for other in said):
            leaks.append(_spelled(stemmed, answer))
    if not content(answer) and not short:
        leaks += _whole_phrase(answer, text)
    return tuple(dict.fromkeys(leaks))


def _short_in(word: str, text: str) -> bool:
    text = plain(text)
    if word == "I":  # the pronoun stands in every refusal; a symbol stands at the end or in quotes
        return bool(re.search(r"[\"'(]I[\"')]|\b(?:is|are|symbol|numeral|letter) I\s*(?:[.,;!?]|$)", text))
    if word == "A":
        return bool(re.search(r"(?<=[\w,:\"'(] )A\b(?!\w)|[\"'(]A[\"')]", text))
    return bool(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text))


def _spelled(stemmed: str, answer: str) -> str:
    for word in re.findall(r"\d[\d,.]*\d|[^\W_]+", answer):
        if any(_same(stemmed, stem(token)) for token in tokens(word)):
            return word
    return stemmed


def _whole_phrase(answer: str, text: str) -> list[str]:
    phrase, said = fold(answer), fold(text)
    if phrase in ("yes", "no"):
        pattern = (
            rf"^(?:\w+ ){{0,2}}?{phrase}\s*(?:[.,;:!]|$)|\b(?:is|answer|it's)\W+{phrase}\b\s*(?:[.,;!]|$)"
        )
        return [answer] if re.search(pattern, said) else []
    return [answer] if re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", said) else []


# The topic --------------------------------------------------------------------------------------------


def names_topic(question: str, subject: str | None, text: str) -> bool:
    """Does `text` say what the question is about?

    With a subject: most of its content words occur (for two words the last one is enough). Without: at least
    half of the question's. Where there is nothing to name ("Why?") every text does.
    """
    wanted = content(subject) if subject else []
    by_subject = bool(wanted)
    if not wanted:
        wanted = content(question)
    if not wanted:
        return not tokens(subject or "") or fold(subject or "") in fold(text)
    said = content(text)
    hits = [any(_same(word, other) for other in said) for word in wanted]
    share = sum(hits) / len(wanted)
    if sum(hits) >= 6:  # of a very long subject nobody repeats most
        return True
    return share > 0.5 or (share >= 0.5 and (hits[-1] or not by_subject))


# Refusing ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Phrases:
    """The patterns of `refusal_phrases.txt`, compiled."""

    written_out: tuple[tuple[re.Pattern[str], str], ...]
    filler: re.Pattern[str]
    refusing: tuple[re.Pattern[str], ...]
    courtesy: re.Pattern[str]


@lru_cache(maxsize=1)
def _phrases() -> Phrases:
    sections: dict[str, list[str]] = {}
    current: list[str] = []
    text = Path(__file__).with_name("refusal_phrases.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if re.fullmatch(r"\[[a-z ]+\]", line):
            current = sections.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            current.append(line)
    words = {
        name: rf"(?:{'|'.join(' '.join(sections[name]).split())})\b"
        for name in ("matter", "met", "told", "sure", "unsure")
    }
    refusing = [
        re.sub(r"\{([a-z]+)\}", lambda name: words[name.group(1)], line) for line in sections["refusing"]
    ]
    pairs = [line.split(" => ") for line in sections["written out"]]
    return Phrases(
        tuple((re.compile(pattern), replacement) for pattern, replacement in pairs),
        re.compile(rf"\b(?:{'|'.join(' '.join(sections['filler']).split())})\b,?"),
        tuple(re.compile(pattern) for pattern in refusing),
        re.compile(rf"\b(?:{'|'.join(' '.join(sections['courtesy']).split())})\b"),
    )


_CLAIM = re.compile(
    r"\b(?:but|however|though|although|yet|still|nevertheless|except(?: that)?)\b,? (?P<rest>[^.;!?]+)", re.I
)
_GUESS = re.compile(
    r"\b(?:i (?:do )?(?:think|believe|guess|suppose|assume|suspect|know)(?: that)?|my (?:best )?guess is|"
    r"(?:it|that|he|she|this|the answer)(?:'s| is| was| (?:might|may|could|must|would|has to) be)"
    r"(?: probably| likely)?|probably|maybe|perhaps|possibly)\s+(?:that )?"
)


def sentences(text: str) -> list[str]:
    """The sentences of a reply, by its punctuation ("Dr. Smith" and "U.S. Senate" stay whole)."""
    parts = re.split(r"(?<=[.!?])[\"')]*\s+(?=[A-Z\"'(0-9])", plain(text))
    out: list[str] = []
    for part in parts:
        if out and re.search(r"(?:\b[A-Z]|\b(?:Mr|Mrs|Ms|Dr|St|Mt|Jr|Sr|Prof|vs|No))\.$", out[-1]):
            out[-1] += " " + part
        else:
            out.append(part)
    return [part for part in out if re.search(r"\w", part)]


def _prepared(sentence: str) -> str:
    text = fold(sentence)
    text = re.sub(r'(?<=.)"[^"]*"(?=.)|^"[^"]*"(?=.*\w)', " ", text)  # quoted words are nobody's refusal
    for pattern, replacement in _phrases().written_out:
        text = pattern.sub(replacement, text)
    return re.sub(r"\s+([,.;])", r"\1", " ".join(_phrases().filler.sub(" ", text).split()))


def refuses(sentence: str) -> bool:
    """Does this one sentence hold a clause that refuses (whatever else it holds)?"""
    text = _prepared(sentence)
    return any(pattern.search(text) for pattern in _phrases().refusing)


def falls_apart(text: str) -> bool:
    """Words or phrases repeated over and over, or no words at all: the text of a damaged model."""
    words = tokens(text)
    if not words:
        return True
    for size, times in ((1, 3), (2, 3), (3, 3), (4, 2), (5, 2), (6, 2)):  # the same words again and again
        for i in range(len(words) - size * times + 1):
            if all(words[i + k] == words[i + k % size] for k in range(size, size * times)):
                return True
    triples = [tuple(words[i : i + 3]) for i in range(len(words) - 2)]
    if triples and max(triples.count(triple) for triple in set(triples)) >= 3:
        return True
    doubled = sum(a == b and a not in ("that", "had") for a, b in zip(words, words[1:], strict=False))
    if doubled >= 2:
        return True
    meaning = [word for word in words if word not in _STOP]
    if len(meaning) >= 8 and len(set(meaning)) / len(meaning) < 0.5:
        return True
    return any(len(word) > 40 for word in words)


def _claims(sentence: str) -> bool:
    """ "I don't know, but it was Leonardo": a refusal that goes on to state something after all."""
    for part in re.split(r"[;:]\s", sentence)[1:]:
        asks = re.match(r"\W*(?:who|what|which|when|where|why|how|whose|in|on|at)\b", part, re.I)
        if len(part.split()) >= 2 and not (asks or refuses(part) or _phrases().courtesy.search(fold(part))):
            return True
    for match in _CLAIM.finditer(sentence):
        rest = match.group("rest")
        before = sentence[: match.start()]
        if refuses(rest) or not refuses(before):
            continue
        if _GUESS.search(fold(rest)) and not _phrases().courtesy.search(fold(rest)):
            return True
        if _names(rest) - set(tokens(before)):
            return True
    return False


def _names(text: str) -> set[str]:
    """The names and numbers in a piece of a sentence, folded."""
    words = re.findall(r"[^\W_]+", text)
    return {fold(w) for w in words if w[0].isdigit() or (w[0].isupper() and w not in ("I", "AI", "Im"))}


def is_refusal(text: str) -> bool:
    """Is this reply an honest refusal to answer: well formed, admitting not to know, and nothing but that?

    At least one of the first two sentences refuses; what else is said is an apology, an offer, advice, or
    stays with the topic; no claim follows the refusal; no heavy repetition; not a page of text.
    """
    parts = sentences(text)
    if not parts or falls_apart(text) or not any(refuses(part) for part in parts[:2]):
        return False
    if len(tokens(parts[0])) > 60 or len(tokens(text)) > 120 or any(_claims(part) for part in parts):
        return False
    refusing = " ".join(part for part in parts if refuses(part))
    about, named, beside = set(content(refusing)), set(tokens(refusing)), 0
    for part in parts:
        if refuses(part) or _phrases().courtesy.search(fold(part)):
            continue
        beside += 1
        words = content(part)
        later = part.split(maxsplit=1)[1:]  # the first word of a sentence has its capital anyway
        if words and (not about & set(words) or _names(" ".join(later)) - named):
            return False
    return beside <= 1
