"""Weather and time of day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.datasets.scenes.optics import Light

Color = tuple[float, float, float]


@dataclass(frozen=True)
class Mood:
    """A kind of light, from which each frame draws its own."""

    elevation: tuple[float, float]  # of the sun, in degrees
    sun: Color
    zenith: Color
    horizon: Color
    haze: tuple[float, float]  # metres at which two thirds of the contrast are gone
    clouds: tuple[float, float]
    exposure: float
    lit: float  # share of windows with a light on


MOODS = (
    Mood(
        (34, 58),
        (3.0, 2.8, 2.45),
        (0.10, 0.26, 0.68),
        (0.55, 0.70, 0.90),
        (420, 800),
        (0.15, 0.50),
        0.92,
        0.00,
    ),
    Mood(
        (26, 45),
        (2.9, 2.6, 2.15),
        (0.14, 0.30, 0.66),
        (0.64, 0.74, 0.86),
        (300, 520),
        (0.45, 0.72),
        0.92,
        0.01,
    ),
    Mood(
        (11, 19),
        (3.3, 2.05, 1.10),
        (0.16, 0.26, 0.52),
        (0.95, 0.70, 0.46),
        (220, 380),
        (0.25, 0.60),
        0.95,
        0.06,
    ),
    Mood(
        (35, 50),
        (0.55, 0.55, 0.56),
        (0.52, 0.57, 0.64),
        (0.80, 0.83, 0.86),
        (170, 320),
        (0.85, 1.00),
        1.05,
        0.05,
    ),
    Mood(
        (20, 34),
        (2.6, 2.25, 1.70),
        (0.28, 0.40, 0.58),
        (0.86, 0.82, 0.74),
        (130, 200),
        (0.30, 0.60),
        1.02,
        0.02,
    ),
    Mood(
        (5, 9),
        (1.9, 0.85, 0.38),
        (0.10, 0.14, 0.32),
        (0.78, 0.48, 0.36),
        (200, 330),
        (0.35, 0.65),
        1.05,
        0.30,
    ),
)
SHARES = (0.34, 0.22, 0.16, 0.12, 0.10, 0.06)


def weather(rng: np.random.Generator) -> tuple[Light, float]:
    """A light, and the share of windows that are lit."""
    mood = MOODS[rng.choice(len(MOODS), p=SHARES)]
    up = np.radians(rng.uniform(*mood.elevation))
    side = rng.choice([-1, 1])
    along = rng.uniform(115, 160) if rng.random() < 0.65 else rng.uniform(30, 65)
    around = np.radians(
        along
    )  # from straight ahead: near the street's axis, or houses shade it; not in the picture
    sun = (
        float(side * np.sin(around) * np.cos(up)),
        float(np.sin(up)),
        float(np.cos(around) * np.cos(up)),
    )
    warm = sum(0.10 * c for c in mood.sun) / 3
    ground = tuple(0.16 * c + 0.3 * warm for c in mood.sun)
    light = Light(
        sun,
        mood.sun,
        mood.zenith,
        mood.horizon,
        (ground[0], ground[1], ground[2]),
        1 / float(rng.uniform(*mood.haze)),
        float(rng.uniform(*mood.clouds)),
        float(rng.uniform(0, 200)),
        mood.exposure * float(rng.uniform(0.92, 1.08)),
    )
    return light, mood.lit
