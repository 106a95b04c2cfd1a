"""Who owns a shard, as the leader of its group decides."""

from hypothesis import given
from hypothesis import strategies as st

from broker.shards.group import Claim, SoleOwner, claim_of, owner_among

CLAIMS = st.dictionaries(st.text(min_size=1), st.integers(0, 50).map(Claim), min_size=1)


def joined(owned: int) -> SoleOwner:
    """A member that was the owner in this generation, 0 for never."""
    member = SoleOwner()
    member.owns(owned)
    return member


def decided(owned: dict[str, int]) -> dict[str, bool]:
    """{member: whether it is the owner}, by the bytes that the members exchange."""
    members = {name: joined(each) for name, each in owned.items()}
    assigned = SoleOwner().assign(None, {name: each.metadata(["a-topic"]) for name, each in members.items()})
    for name, each in members.items():
        each.on_assignment(assigned[name])
    return {name: each.is_owner for name, each in members.items()}


@given(CLAIMS)
def test_the_owner_is_the_one_that_owned_last(claims: dict[str, Claim]) -> None:
    """A member that was frozen meanwhile claims an older generation."""
    assert claims[owner_among(claims)].owned == max(claim.owned for claim in claims.values())


@given(st.dictionaries(st.text(min_size=1), st.integers(0, 50), min_size=1))
def test_exactly_one_member_is_the_owner(owned: dict[str, int]) -> None:
    """Whatever the members claim."""
    assert sum(decided(owned).values()) == 1


def test_an_owner_stays_the_owner_when_others_come() -> None:
    """A standby that joins does not move the shard."""
    assert decided({"a": 0, "b": 7, "c": 0}) == {"a": False, "b": True, "c": False}


def test_a_claim_that_cannot_be_read_claims_nothing() -> None:
    """Of a release that says more, or of nobody of ours."""
    assert [claim_of(data) for data in (None, b"", b"\xff", b"[]", b'{"owned": "x"}')] == [Claim()] * 5
    assert claim_of(b'{"owned": 3, "more": 1}') == Claim(3)
