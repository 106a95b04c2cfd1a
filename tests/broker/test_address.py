"""The address of a broker: its parts come back, and each kind of client receives all of them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.worker.faust_app import faust_app
from agents.worker.settings import StreamSettings
from app.settings import load_settings
from broker.address import BrokerAddress, app_settings, client_settings, parse_broker_address
from tests.tls import make_certificate

SERVERS = "one:9093,two:9093"


@given(st.text(min_size=1), st.text(min_size=1), st.sampled_from(["", "/etc/a ca.pem"]))
def test_its_parts_come_back(user: str, password: str, ca: str) -> None:
    """Whatever letters a password is made of."""
    address = BrokerAddress(SERVERS, True, ca, user, password)
    assert parse_broker_address(address.text()) == address


def test_a_broker_without_tls_is_addressed_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but its servers; so the embedded broker and a local one need no setting."""
    monkeypatch.setattr("broker.address._process", "perpetua")  # other tests of this process have named it
    assert BrokerAddress(SERVERS).text() == SERVERS
    assert client_settings(SERVERS) == {"bootstrap_servers": SERVERS, "client_id": "perpetua"}
    assert app_settings(SERVERS) == {"broker": "kafka://one:9093;kafka://two:9093"}


def test_every_client_receives_tls_and_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """aiokafka by arguments, Faust by credentials that carry the context; the certificate is checked against our CA."""
    monkeypatch.setattr("broker.address._process", "perpetua")
    ca = make_certificate(tmp_path).certificate
    given = {"BROKER_URL": SERVERS, "BROKER_TLS": "1", "BROKER_CA": str(ca)}
    named = given | {"BROKER_USERNAME": "engine", "BROKER_PASSWORD": "p@ss:w/rd?"}
    client = client_settings(load_settings(named).broker_address)
    assert client.pop("ssl_context").get_ca_certs()[0]["serialNumber"]
    assert client == {
        "bootstrap_servers": SERVERS,
        "client_id": "perpetua",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "engine",
        "sasl_plain_password": "p@ss:w/rd?",
    }
    assert client_settings(load_settings(given).broker_address)["security_protocol"] == "SSL"
    app = faust_app("engine-X", StreamSettings("", load_settings(named).broker_address, tmp_path))
    credentials = app.conf.broker_credentials
    assert (credentials.username, credentials.password) == ("engine", "p@ss:w/rd?")
    assert (credentials.protocol.value, credentials.mechanism.value) == ("SASL_SSL", "SCRAM-SHA-512")
    assert credentials.ssl_context.check_hostname
    assert [url.host for url in app.conf.broker] == ["one", "two"]
    tls_only = app_settings(load_settings(given).broker_address)["broker_credentials"]
    assert tls_only.context.check_hostname


@pytest.mark.parametrize("kind", ["settings", "address"])
def test_no_password_is_shown(kind: str, tmp_path: Path) -> None:
    """The logged settings of a worker have no secret."""
    address = BrokerAddress(SERVERS, True, "", "engine", "hidden").text()
    stream = StreamSettings("postgresql://u:hidden@db/x", address, tmp_path)
    shown = {"settings": repr(stream), "address": str(app_settings(address)["broker_credentials"])}
    assert "hidden" not in shown[kind]
