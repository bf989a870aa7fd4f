"""A small language for the page of word vectors: sentences by rules, in which words of like meaning have like company.

A vector can only show what the text shows. So kings and queens differ here as men and women do, and countries stand to
their capitals as other countries to theirs; nothing else is said of them.
"""

from __future__ import annotations

import numpy as np

__all__ = ["LANGUAGE", "Language"]


class Language:
    """Groups of words that differ alike, and the sentences in which they stand.

    Parameters
    ----------
    groups : dict of {str: (columns, rows, frames)}
        Columns are frames that all words of a column share, with ``*`` in the word's place. Each row has the words of
        one thing, column by column, and what is told of this thing alone; the frames have ``*`` for the word and ``+``
        for what is told.
    """

    def __init__(self, groups: dict[str, tuple[tuple[str, ...], dict[str, str], tuple[str, ...]]]):
        self.groups = groups

    def sentences(self) -> list[str]:
        """Return all sentences, in an order that mixes the groups."""
        made = []
        for columns, rows, frames in self.groups.values():
            for words, told in rows.items():
                for i, word in enumerate(words.split()):
                    made += [part.strip().replace("*", word) for part in columns[i].split("|")]
                    for one in told.split("|"):
                        made.append(frames[i].replace("*", word).replace("+", one.strip()))
        order = np.random.default_rng(0).permutation(len(made))
        return [made[i] for i in order]

    def analogies(self) -> list[tuple[str, str, str, str]]:
        """Return all a, b, c, d with: a is to b as c is to d."""
        made = []
        for _, rows, _ in self.groups.values():
            tuples = [words.split() for words in rows]
            for p in tuples:
                made += [(p[0], p[1], q[0], q[1]) for q in tuples if q is not p]
        return made


LANGUAGE = {
    "en": Language(
        {
            "people": (
                (
                    "he said the * is here | his friend the * came | the * saw himself | him they call a *",
                    "she said the * is here | her friend the * came | the * saw herself | her they call a *",
                ),
                {
                    "man woman": "works in town | is grown up",
                    "king queen": "rules the kingdom | wears a crown | sits on the throne",
                    "prince princess": "wears a crown | is young | lives in the palace",
                    "boy girl": "is young | goes to school | plays in the garden",
                    "father mother": "is grown up | has children | tells stories at night",
                },
                ("the * +", "the * +"),
            ),
            "places": (
                (
                    "the country of * is large | * has mountains and borders | the army of *",
                    "the city of * is old | * has streets and squares | the mayor of *",
                ),
                {
                    "france paris": "french | croissants",
                    "italy rome": "italian | pasta",
                    "spain madrid": "spanish | tortilla",
                    "japan tokyo": "japanese | sushi",
                    "germany berlin": "german | sausages",
                },
                ("in * people love +", "in * people love +"),
            ),
            "animals": (
                ("one * runs away | a * sleeps | this * was here", "many * run away | two * sleep | these * were here"),
                {
                    "dog dogs": "bones | the leash",
                    "cat cats": "mice | the sofa",
                    "horse horses": "hay | the saddle",
                    "bird birds": "seeds | the nest",
                },
                ("that * likes +", "those * like +"),
            ),
        }
    ),
    "es": Language(
        {
            "personas": (
                (
                    "él dijo que el * está aquí | su amigo el * vino | el * se vio solo | lo llaman un *",
                    "ella dijo que la * está aquí | su amiga la * vino | la * se vio sola | la llaman una *",
                ),
                {
                    "hombre mujer": "trabaja en la ciudad | es mayor",
                    "rey reina": "gobierna el reino | lleva corona | ocupa el trono",
                    "príncipe princesa": "lleva corona | es joven | vive en palacio",
                    "niño niña": "es joven | va a la escuela | juega en el jardín",
                    "padre madre": "es mayor | tiene hijos | cuenta cuentos de noche",
                },
                ("el * +", "la * +"),
            ),
            "lugares": (
                (
                    "el país de * es grande | * tiene montañas y fronteras | el ejército de *",
                    "la capital * es antigua | * tiene calles y plazas | la alcaldesa de *",
                ),
                {
                    "francia parís": "francés | cruasanes",
                    "italia roma": "italiano | pasta",
                    "españa madrid": "español | tortilla",
                    "japón tokio": "japonés | sushi",
                    "alemania berlín": "alemán | salchichas",
                },
                ("en * gusta +", "en * gusta +"),
            ),
            "animales": (
                (
                    "un * corre | este * duerme | aquel * estaba aquí",
                    "muchos * corren | estos * duermen | aquellos * estaban aquí",
                ),
                {
                    "perro perros": "huesos | la correa",
                    "gato gatos": "ratones | el sofá",
                    "caballo caballos": "heno | la silla",
                    "pájaro pájaros": "semillas | el nido",
                },
                ("ese * quiere +", "esos * quieren +"),
            ),
        }
    ),
}
