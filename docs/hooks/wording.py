"""What the hooks write into pages, in the languages of the course."""

from __future__ import annotations

__all__ = ["TEXTS"]

TEXTS = {
    "en": {
        "expected": "expected", "reached": "reached", "training": "training", "data": "data", "time": "time",
        "code": "The code of this page", "recipe": "recipe", "shows": "what it shows",
        "made": "{epochs} {passes}, seed {seed}, {parameters:,} numbers learnt",
        "passes": ("epoch", "epochs"),
        "mean": "mean of {count} seeds, {low} to {high}",
        "took": "{seconds} s, threads: {threads}",
        "other": "Esta página en español", "measure": "measure", "folder": "FOLDER", "units": {},
        "short": "The pictures are of {passes} epochs on scikit-learn's digits in the place of MNIST.",
        "fewer": "The pictures are of {passes} epochs alone.",
        "recorded": "What is shown is of a whole run, recorded before; the command makes all of it anew.",
        "long": "Its pictures take longer than the building of this site, or other data ({data}): the command "
        "draws them.",
    },
    "es": {
        "expected": "esperado", "reached": "alcanzado", "training": "entrenamiento", "data": "datos", "time": "tiempo",
        "code": "El código de esta página", "recipe": "receta", "shows": "qué muestra",
        "made": "{epochs} {passes}, semilla {seed}, {parameters:,} números aprendidos",
        "passes": ("época", "épocas"),
        "mean": "media de {count} semillas, de {low} a {high}",
        "took": "{seconds} s, hilos: {threads}",
        "other": "This page in English", "measure": "medida", "folder": "CARPETA",
        "units": {"of 10": "de 10", "times": "veces"},
        "short": "Las imágenes son de {passes} épocas con los dígitos de scikit-learn en lugar de MNIST.",
        "fewer": "Las imágenes son de solo {passes} épocas.",
        "recorded": "Lo que se muestra es de una ejecución completa, grabada antes; el comando vuelve a hacer todo.",
        "long": "Sus imágenes piden más tiempo que la construcción de este sitio, u otros datos ({data}): el comando "
        "las dibuja.",
    },
}  # fmt: skip
