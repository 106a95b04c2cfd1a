"""Rules versions: the version that a market applies is part of its state, changed only by a command of its log.

Code that changes the result of a command checks `market.rules` and keeps the old behaviour for the old version;
RULES_VERSION is the newest version it knows (docs/adr/0005).
"""

from exchange.engine.emitter import Emitter
from exchange.errors import UnknownRules
from schemas.wire import RULES_VERSION


def check_known(rules: int) -> None:
    """Raise UnknownRules for a version that only newer code knows."""
    if rules > RULES_VERSION:
        raise UnknownRules(RULES_VERSION, rules)


def set_rules(emitter: Emitter, rules: int) -> None:
    """Apply these rules from the next command on, never older ones; emits the current version."""
    check_known(rules)
    emitter.market.rules = max(emitter.market.rules, rules)
    emitter.rules_changed()
