"""The ledger: all its books behind one door."""

from outreach.ledger.consents import ConsentBook
from outreach.ledger.events import EventBook
from outreach.ledger.forgetting import ForgettingBook
from outreach.ledger.jobs import JobBook
from outreach.ledger.learning import LearningBook
from outreach.ledger.lists import ListBook
from outreach.ledger.outcomes import OutcomeBook
from outreach.ledger.people import PeopleBook
from outreach.ledger.tokens import TokenBook


class Ledger(
    ConsentBook, ListBook, LearningBook, OutcomeBook, TokenBook, JobBook, EventBook, PeopleBook, ForgettingBook
):
    """Everything that changes between releases, in SQLite or PostgreSQL; see `LedgerCore` for how it is opened."""
