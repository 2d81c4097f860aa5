"""What can go wrong, as a small tree that every room shares.

HuitouError                 anything we raise on purpose
├── InputError              the user's data or call is wrong (exit code 2)
│   └── NotEnoughData       right in form, too little to answer
└── GateRefused             a gate kept what was there (exit code 3)
"""


class HuitouError(Exception):
    """Anything Huitou raises on purpose."""


class InputError(HuitouError):
    """The input is wrong; the message says table.column, what was expected, what was found, and the next step."""


class NotEnoughData(InputError):
    """The input is right in form but too little to answer; the message says how much is needed."""


class GateRefused(HuitouError):
    """A gate refused; the message says what stays in place and why."""
