"""Rules versions: by which rules a market answers is part of its state, moved by a command of its log alone.

Code that changes what a command leads to asks `market.rules` and keeps the old way for the old number; RULES_VERSION is
the newest number it knows (docs/adr/0005).
"""

from exchange.engine.emitter import Emitter
from exchange.errors import UnknownRules
from schemas.wire import RULES_VERSION


def check_known(rules: int) -> None:
    """UnknownRules for what only newer code can carry out."""
    if rules > RULES_VERSION:
        raise UnknownRules(RULES_VERSION, rules)


def set_rules(emitter: Emitter, rules: int) -> None:
    """Go on by these rules, from the next command on; never back to older ones. Tell the version in force."""
    check_known(rules)
    emitter.market.rules = max(emitter.market.rules, rules)
    emitter.rules_changed()
