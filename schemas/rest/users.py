"""Registration and login."""

from schemas.rest.bodies import Email, Password, Request, View


class Credentials(Request, frozen=True):
    """Registers a user or logs a user in."""

    email: Email
    password: Password


class Registered(View, frozen=True):
    """A new user."""

    user_id: str


class LoggedIn(View, frozen=True):
    """A bearer token and its owner."""

    token: str
    user_id: str


class MeView(View, frozen=True):
    """The caller's user."""

    user_id: str
    email: str
    role: str
    created_at: str
