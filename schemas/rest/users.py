"""Users: registration, logins and their sessions, passwords, the second factor."""

from typing import Annotated

from msgspec import Meta

from schemas.rest.bodies import EXPECTED, Email, Password, Request, TimeText, View

Code = Annotated[
    str,
    Meta(
        pattern=r"^[0-9A-Za-z][0-9A-Za-z -]{4,30}[0-9A-Za-z]$(?!\n)",
        description="The code of an authenticator app, or a recovery code",
        extra={EXPECTED: "the six digits of an authenticator app, or a recovery code"},
    ),
]


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
    """The caller's user; `recoveryCodesLeft` is null without TOTP."""

    user_id: str
    email: str
    role: str
    created_at: TimeText
    is_totp_enabled: bool
    recovery_codes_left: int | None


class LoginRequest(Credentials, frozen=True):
    """Logs a user in; `code` is needed where TOTP is enabled."""

    code: Code | None = None


class PasswordChange(Request, frozen=True):
    """Changes the caller's password."""

    password: Password
    new_password: Password


class Logout(Request, frozen=True):
    """Ends the caller's session, or all of the user's."""

    everywhere: bool = False


class LoginView(View, frozen=True):
    """A session: one login in force, and from where it was made. `isCurrent`: the one of this request."""

    session_id: str
    created_at: TimeText
    expires_at: TimeText
    address: str
    user_agent: str
    is_current: bool


class TotpEnrolled(View, frozen=True):
    """A secret for an authenticator app: as text, as `otpauth` URI, and the URI as a QR code in SVG. Enabled once it is confirmed."""

    secret: str
    uri: str
    qr: str


class TotpCode(Request, frozen=True):
    """Proves that the caller has the second factor."""

    code: Code


class RecoveryCodes(View, frozen=True):
    """Ten codes that each replace a code of the app once; shown only here."""

    recovery_codes: list[str]
