from sqlalchemy import text

from billing_server.store.unit_of_work import SqlStore


def test_a_new_database_has_an_identity_and_a_first_invoice_number(store: SqlStore) -> None:
    with store.read() as unit:
        incarnation = unit.connection.execute(text("SELECT incarnation FROM server_state")).scalar()
        number = unit.connection.execute(text("SELECT next_number FROM number_series")).scalar()
    assert len(incarnation) == 32
    assert number == 1
