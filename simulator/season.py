"""A preset's season in; the brand's pace on every day of a span, as multipliers around 1, out."""

import datetime

import numpy as np

from simulator.preset import Season

Day = datetime.date

# Lunar festivals as dates (solar dates of 春节, 七夕, 中秋); facts of the calendar, not of any brand.
SPRING_FESTIVAL = {
    2019: (2, 5), 2020: (1, 25), 2021: (2, 12), 2022: (2, 1), 2023: (1, 22), 2024: (2, 10), 2025: (1, 29),
    2026: (2, 17), 2027: (2, 6), 2028: (1, 26), 2029: (2, 13), 2030: (2, 3), 2031: (1, 23),
}  # fmt: skip
QIXI = {
    2019: (8, 7), 2020: (8, 25), 2021: (8, 14), 2022: (8, 4), 2023: (8, 22), 2024: (8, 10), 2025: (8, 29),
    2026: (8, 19), 2027: (8, 8), 2028: (8, 26), 2029: (8, 16), 2030: (8, 5), 2031: (8, 24),
}  # fmt: skip
MID_AUTUMN = {
    2019: (9, 13), 2020: (10, 1), 2021: (9, 21), 2022: (9, 10), 2023: (9, 29), 2024: (9, 17), 2025: (10, 6),
    2026: (9, 25), 2027: (9, 15), 2028: (10, 3), 2029: (9, 22), 2030: (9, 12), 2031: (10, 1),
}  # fmt: skip


def festival_windows(year: int) -> list[tuple[str, Day, Day]]:
    """The selling windows of a year: name, first and last day."""

    def around(table: dict[int, tuple[int, int]], before: int, after: int) -> tuple[Day, Day] | None:
        if year not in table:
            return None
        day = Day(year, *table[year])
        return day + datetime.timedelta(days=before), day + datetime.timedelta(days=after)

    windows: list[tuple[str, Day, Day]] = [
        ("women", Day(year, 3, 5), Day(year, 3, 8)),
        ("may520", Day(year, 5, 18), Day(year, 5, 20)),
        ("mid_year", Day(year, 6, 15), Day(year, 6, 20)),
        ("double11", Day(year, 11, 8), Day(year, 11, 11)),
        ("national_day", Day(year, 10, 1), Day(year, 10, 7)),
        ("back_to_school", Day(year, 8, 24), Day(year, 9, 2)),
    ]
    for name, span in (
        ("spring_festival_before", around(SPRING_FESTIVAL, -21, -2)),
        ("spring_festival", around(SPRING_FESTIVAL, -1, 6)),
        ("qixi", around(QIXI, -3, 0)),
        ("mid_autumn", around(MID_AUTUMN, -7, 0)),
    ):
        if span is not None:
            windows.append((name, *span))
    return windows


def daily_pace(season: Season, first: Day, days: int) -> tuple[np.ndarray, np.ndarray]:
    """The pace of each day and whether a lifting festival is on.

    Returns (pace float64[days] with mean 1, festival bool[days]).
    """
    dates = [first + datetime.timedelta(days=n) for n in range(days)]
    pace = np.array([season.months[d.month - 1] * season.weekdays[d.weekday()] for d in dates], dtype=float)
    festival = np.zeros(days, dtype=bool)
    for year in {d.year for d in dates}:
        for name, start, end in festival_windows(year):
            lift = season.festivals.get(name, 1.0)
            if lift == 1.0:
                continue
            low, high = max((start - first).days, 0), min((end - first).days + 1, days)
            if low < high:
                pace[low:high] *= lift
                festival[low:high] |= lift > 1.0
    return pace / pace.mean(), festival
