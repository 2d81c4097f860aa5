"""What a brand may set about training and tracking, with its defaults; light to import."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class TrainingSettings:
    """How models are trained and judged."""

    horizon_days: int = field(
        default=0, metadata={"doc": "churn = no purchase within so many days; 0 = proposed by the data"}
    )
    cutoffs: int = field(default=2, metadata={"doc": "past days on which a training is judged, one horizon apart"})
    seed: int = field(default=0, metadata={"doc": "seed of every random choice"})
    judged_members: int = field(
        default=20_000, metadata={"doc": "members drawn to judge item lists on; 0 = all. Never limits training"}
    )


@dataclass(frozen=True)
class TrackingSettings:
    """Where runs and models are kept."""

    uri: str = field(default="", metadata={"doc": "MLflow tracking URI; empty = SQLite under home"})
    experiment: str = field(
        default="huitou", metadata={"doc": "MLflow experiment name, also the models' name prefix"}
    )
