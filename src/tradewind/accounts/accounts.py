"""Accounts: users with their roles, the sessions and tokens by which they are known, and the audit log."""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from tradewind.accounts.roles import ANYBODY_HERE, Caller, Right, Role
from tradewind.accounts.schema import ACCOUNTS, AUDIT, REACH, SESSIONS, TOKENS, USERS
from tradewind.accounts.secrecy import derived, digest, fits, fresh, sealed
from tradewind.database import Database
from tradewind.errors import BadInputError, ConflictError, ForbiddenError, NotFoundError, UnknownCallerError
from tradewind.scope import OPERATOR, Scope

NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
PREFIX = "tw_"
IDLE, WHOLE = timedelta(hours=1), timedelta(hours=12)
"""A session ends so long after its last request, and so long after it began."""
LONGEST = 366
"""Days that a token may hold."""
NOTED = timedelta(minutes=1)
"""How old the note of a last use may be before it is written anew."""

Clock = Callable[[], datetime]


@dataclass(frozen=True)
class User:
    """A user.

    Args:
        id: Its id.
        name: The name with which they sign in.
        role: What they are.
        shops: The shops that a merchant, or a viewer of some, may see.
        creators: The creators as whom a creator sees.
        disabled: Whether they may no longer sign in.
    """

    id: str
    name: str
    role: Role
    shops: tuple[str, ...]
    creators: tuple[str, ...]
    disabled: bool

    @property
    def caller(self) -> Caller:
        """The user as one who asks."""
        return Caller(self.id, self.name, self.role, _scope(self.role, self.shops, self.creators))


@dataclass(frozen=True)
class Token:
    """A token, without its secret.

    Args:
        id: Its id, by which it is revoked.
        user: Name of its user.
        title: What it is for.
        made: When it was made, UTC in ISO 8601.
        expires: Until when it holds.
        revoked: When it was revoked; None while it was not.
        seen: When it was last used, to the minute; None while it was not.
    """

    id: str
    user: str
    title: str
    made: str
    expires: str
    revoked: str | None
    seen: str | None


@dataclass(frozen=True, repr=False)
class Session:
    """Somebody signed in.

    Args:
        secret: What their browser shows with each request.
        caller: Who they are.
    """

    secret: str
    caller: Caller

    @property
    def form(self) -> str:
        """What each form of the session carries, so that no other site can send one (CSRF)."""
        return derived(self.secret, "form")


@dataclass(frozen=True)
class Deed:
    """One line of the audit log.

    Args:
        number: Its number.
        at: When, UTC in ISO 8601.
        who: Name of the user.
        what: What was done.
        subject: To what.
        detail: More of it.
    """

    number: int
    at: str
    who: str
    what: str
    subject: str
    detail: str


class Accounts:
    """The register of users.

    Args:
        database: Where it is kept; `open_accounts` makes it.
        clock: What says the time.
    """

    def __init__(self, database: Database, clock: Clock):
        self._database = database
        self._clock = clock

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    # Users

    def add(
        self,
        name: str,
        role: Role,
        shops: Iterable[str] = (),
        creators: Iterable[str] = (),
        password: str | None = None,
        by: Caller = ANYBODY_HERE,
    ) -> User:
        """Add a user, who cannot sign in before there is a password.

        Raises:
            BadInputError: If the name or password cannot be used, or a role has too little or too much to see.
            ConflictError: If the name is taken.
        """
        if not NAME.fullmatch(name):
            raise BadInputError(
                "A user's name cannot be used", got=name, allowed="up to 64 small letters, digits and . _ @ -"
            )
        reach = [*(("shop", shop) for shop in dict.fromkeys(shops)), *(("creator", c) for c in dict.fromkeys(creators))]
        for kind, i in reach:
            _plain(f"The id of a {kind}", i)
        _scope(role, [i for kind, i in reach if kind == "shop"], [i for kind, i in reach if kind == "creator"])
        user, kept = secrets.token_hex(8), None if password is None else _kept(name, password)
        row = {"id": user, "name": name, "role": str(role), "password": kept, "made": self._now()}
        with self._database.writing() as to:
            try:
                to.execute(USERS.insert().values(**row))
            except IntegrityError as error:
                raise ConflictError("There is a user of this name", got=name) from error
            for kind, i in reach:
                to.execute(REACH.insert().values(user=user, kind=kind, id=i))
            self._write(to, by, "add user", name, " ".join((role, *(i for _, i in reach))))
        return self.user(name)

    def users(self) -> list[User]:
        """Return all users, by name."""
        with self._database.reading() as of:
            return [_user(of, row) for row in of.execute(USERS.select().order_by(USERS.c.name)).all()]

    def user(self, name: str) -> User:
        """Return a user.

        Raises:
            NotFoundError: If there is none of that name.
        """
        if NAME.fullmatch(name):
            with self._database.reading() as of:
                row = of.execute(USERS.select().where(USERS.c.name == name)).one_or_none()
                if row is not None:
                    return _user(of, row)
        raise NotFoundError("There is no such user", got=ascii(name)[1:-1], do="see `tradewind users list`")

    def set_password(self, name: str, password: str, by: Caller = ANYBODY_HERE) -> None:
        """Give a user a password; sessions that were begun with the one before end.

        Raises:
            NotFoundError: If there is no such user.
            BadInputError: If the password is too short.
        """
        user, kept = self.user(name), _kept(name, password)
        with self._database.writing() as to:
            to.execute(USERS.update().where(USERS.c.id == user.id).values(password=kept))
            to.execute(SESSIONS.delete().where(SESSIONS.c.user == user.id))
            self._write(to, by, "set password", name)

    def disable(self, name: str, *, back: bool = False, by: Caller = ANYBODY_HERE) -> None:
        """Keep a user out from now on, whatever tokens and sessions they hold; or let them in again.

        Sessions end; tokens rest, and hold again with their user.

        Raises:
            NotFoundError: If there is no such user.
        """
        user = self.user(name)
        with self._database.writing() as to:
            to.execute(USERS.update().where(USERS.c.id == user.id).values(disabled=None if back else self._now()))
            to.execute(SESSIONS.delete().where(SESSIONS.c.user == user.id))
            self._write(to, by, "enable user" if back else "disable user", name)

    # Sessions

    def sign_in(self, name: str, password: str) -> Session:
        """Begin a session.

        Raises:
            UnknownCallerError: If name and password do not fit; it does not tell which.
        """
        asked = USERS.select().where(USERS.c.name == name)
        row = None
        if NAME.fullmatch(name):
            with self._database.reading() as of:
                row = of.execute(asked).one_or_none()
        right = fits(password, None if row is None else row.password)
        wrong = UnknownCallerError("Name and password do not fit", do="try again, or ask an operator for a new one")
        if row is None or not right or row.disabled is not None:
            raise wrong
        secret, now = fresh(), self._now()
        with self._database.writing() as to:
            again = to.execute(asked).one()
            if (again.password, again.disabled) != (row.password, None):  # changed while the password was stretched
                raise wrong
            to.execute(SESSIONS.delete().where(SESSIONS.c.made < self._text(self._clock() - WHOLE)))
            to.execute(SESSIONS.insert().values(digest=digest(secret), user=row.id, made=now, seen=now))
            return Session(secret, _user(to, again).caller)

    def session(self, secret: str) -> Session:
        """Return the session of a secret.

        Raises:
            UnknownCallerError: If there is none, it has ended, or its user was disabled.
        """
        now = self._clock()
        with self._database.reading() as of:
            row = of.execute(SESSIONS.select().where(SESSIONS.c.digest == digest(secret))).one_or_none()
            fine = row is not None and row.seen > self._text(now - IDLE) and row.made > self._text(now - WHOLE)
            user = _of_id(of, row.user) if row is not None and fine else None
        if row is None or user is None or user.disabled:
            raise UnknownCallerError("The session has ended", do="sign in")
        if row.seen < self._text(now - NOTED):
            with self._database.writing() as to:
                to.execute(SESSIONS.update().where(SESSIONS.c.digest == row.digest).values(seen=self._text(now)))
        return Session(secret, user.caller)

    def sign_out(self, secret: str) -> None:
        """End a session; nothing happens where there is none."""
        with self._database.writing() as to:
            to.execute(SESSIONS.delete().where(SESSIONS.c.digest == digest(secret)))

    # Tokens

    def make_token(self, name: str, title: str, days: int = 90, by: Caller = ANYBODY_HERE) -> tuple[Token, str]:
        """Return a new token and its secret, which is told this once.

        Raises:
            NotFoundError: If there is no such user.
            BadInputError: If it would hold too long, or has no title.
        """
        if not 1 <= days <= LONGEST:
            raise BadInputError("A token cannot hold that long", got=f"{days} days", allowed=f"1 to {LONGEST} days")
        _plain("What a token is for", title)
        user, now, secret, key = self.user(name), self._clock(), fresh(PREFIX), secrets.token_hex(8)
        with self._database.writing() as to:
            to.execute(
                TOKENS.insert().values(
                    id=key,
                    user=user.id,
                    title=title.strip(),
                    digest=digest(secret),
                    made=self._text(now),
                    expires=self._text(now + timedelta(days=days)),
                )
            )
            self._write(to, by, "make token", key, f"{name}: {title.strip()}")
        return next(token for token in self.tokens(name) if token.id == key), secret

    def tokens(self, name: str | None = None) -> list[Token]:
        """Return tokens, the newest first: a user's, or all."""
        asked = sa.select(TOKENS, USERS.c.name).join(USERS, USERS.c.id == TOKENS.c.user)
        asked = asked if name is None else asked.where(USERS.c.name == name)
        with self._database.reading() as of:
            rows = of.execute(asked.order_by(TOKENS.c.made.desc(), TOKENS.c.id)).all()
        return [Token(r.id, r.name, r.title, r.made, r.expires, r.revoked, r.seen) for r in rows]

    def token(self, secret: str) -> Caller:
        """Return who asks with a token.

        Raises:
            UnknownCallerError: If there is no such token, it expired or was revoked, or its user was disabled.
        """
        now = self._clock()
        with self._database.reading() as of:
            row = of.execute(TOKENS.select().where(TOKENS.c.digest == digest(secret))).one_or_none()
            fine = row is not None and row.revoked is None and row.expires > self._text(now)
            user = _of_id(of, row.user) if row is not None and fine else None
        if row is None or user is None or user.disabled:
            raise UnknownCallerError("The token holds no longer, or never did", do="ask an operator for another")
        if row.seen is None or row.seen < self._text(now - NOTED):
            with self._database.writing() as to:
                to.execute(TOKENS.update().where(TOKENS.c.id == row.id).values(seen=self._text(now)))
        return user.caller

    def revoke(self, key: str, caller: Caller) -> None:
        """Revoke a token: one's own, or anybody's by who may manage users.

        Raises:
            NotFoundError: If there is no such token, or it is not the caller's to revoke.
            BadInputError: If it can be no token's id.
        """
        _plain("The id of a token", key)
        with self._database.writing() as to:
            row = to.execute(TOKENS.select().where(TOKENS.c.id == key)).one_or_none()
            if row is None or not (row.user == caller.user or caller.may(Right.MANAGE)):
                raise NotFoundError("There is no such token", got=key)
            if row.revoked is None:
                to.execute(TOKENS.update().where(TOKENS.c.id == key).values(revoked=self._now()))
                self._write(to, caller, "revoke token", key)

    # The audit log

    def note(self, caller: Caller, what: str, subject: str, detail: str = "") -> None:
        """Write a line into the audit log: who did what to what."""
        with self._database.writing() as to:
            self._write(to, caller, what, subject, detail)

    def deeds(self, caller: Caller, before: int | None = None, most: int = 100) -> list[Deed]:
        """Return lines of the audit log, the newest first.

        Args:
            caller: Who asks.
            before: Only lines of a smaller number, for the next page.
            most: How many at most.

        Raises:
            ForbiddenError: If the caller may not manage.
        """
        caller.check(Right.MANAGE)
        asked = AUDIT.select().order_by(AUDIT.c.number.desc()).limit(most)
        with self._database.reading() as of:
            rows = of.execute(asked if before is None else asked.where(AUDIT.c.number < before)).all()
        return [Deed(*row) for row in rows]

    def _write(self, to: sa.Connection, caller: Caller, what: str, subject: str, detail: str = "") -> None:
        line = {"at": self._now(), "who": caller.name, "what": what, "subject": subject, "detail": detail}
        to.execute(AUDIT.insert().values(**line))

    def _now(self) -> str:
        return self._text(self._clock())

    @staticmethod
    def _text(moment: datetime) -> str:
        return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def open_accounts(address: str | Path, *, create: bool = False, clock: Clock | None = None) -> Accounts:
    """Open the register of users, its tables brought up to date.

    Args:
        address: A file, `sqlite:///FILE`, or `postgresql://USER@HOST/NAME`.
        create: Whether it may be begun.
        clock: What says the time; the machine's clock when left out.

    Raises:
        NotFoundError: If there is none and none may be begun.
        BadInputError: If the address cannot be used.
        ForbiddenError: If others may read the file.
        CorruptAccountsError: If there is something else there.
    """
    database = Database(ACCOUNTS, address)
    try:
        if create and database.file is not None and database.file.parent.is_dir() and not database.file.exists():
            try:
                os.close(os.open(database.file, os.O_CREAT | os.O_WRONLY, 0o600))
            except OSError as error:
                raise NotFoundError(
                    f"The register of users cannot be made there ({error.strerror})", got=database.shown
                ) from error
        if database.file is not None and database.file.exists() and stat.S_IMODE(database.file.stat().st_mode) & 0o077:
            raise ForbiddenError(
                "Others may read the register of users", got=database.file, do=f"run `chmod 600 {database.file}`"
            )
        if not database.prepared():
            with database.preparing(create=create):
                pass
    except BaseException:
        database.close()
        raise
    return Accounts(database, clock or (lambda: datetime.now(UTC)))


def _scope(role: Role, shops: Iterable[str], creators: Iterable[str]) -> Scope:
    """Return what a user may see.

    Raises:
        BadInputError: If the role needs shops or creators that are not named, or none that are.
    """
    shops, creators = tuple(shops), tuple(creators)
    wrong = {
        Role.OPERATOR: (bool(shops or creators), "no shop and no creator: an operator sees all"),
        Role.VIEWER: (bool(creators), "no creator; shops, where not all are to be seen"),
        Role.MERCHANT: (not shops or bool(creators), "one shop or more, and no creator"),
        Role.CREATOR: (bool(shops) or not creators, "one creator or more, and no shop"),
    }[role]
    if wrong[0]:
        named = ", ".join((*shops, *creators)) or "nothing"
        raise BadInputError(f"What somebody sees as {role} does not fit", got=named, allowed=wrong[1])
    if creators:
        return Scope.of_creators(creators)
    return Scope.of(shops) if shops else OPERATOR


def _plain(what: str, text: str) -> None:
    if not text.strip() or not text.isprintable() or len(text) > 100:
        raise BadInputError(f"{what} cannot be used", got=ascii(text[:100]), allowed="1 to 100 letters that print")


def _kept(name: str, password: str) -> str:
    if password.lower() == name:
        raise BadInputError("The password is the user's name", do="take a few unrelated words")
    return sealed(password)


def _user(of: sa.Connection, row: sa.Row[tuple[str, ...]]) -> User:
    reach = of.execute(REACH.select().where(REACH.c.user == row.id).order_by(REACH.c.id)).all()
    ids = {kind: tuple(r.id for r in reach if r.kind == kind) for kind in ("shop", "creator")}
    return User(row.id, row.name, Role(row.role), ids["shop"], ids["creator"], row.disabled is not None)


def _of_id(of: sa.Connection, user: str) -> User:
    return _user(of, of.execute(USERS.select().where(USERS.c.id == user)).one())
