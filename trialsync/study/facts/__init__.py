"""Changes to facts: deterministic statements derived from a study's versions, each by a rule with an id and a version. Pure."""

from trialsync.study.facts.deriving import facts_of, facts_of_whole
from trialsync.study.facts.overdue import may_be_overdue, overdue
from trialsync.study.facts.rules import BY_ID, FACTS, Rule, nearest
from trialsync.study.facts.step import Fact, Step

__all__ = ["BY_ID", "FACTS", "Fact", "Rule", "Step", "facts_of", "facts_of_whole", "may_be_overdue", "nearest", "overdue"]
