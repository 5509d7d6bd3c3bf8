"""What azure-data-tables does with tables, each operation once."""

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableServiceClient, UpdateMode
from azure.identity import DefaultAzureCredential

from operations import main

tables = TableServiceClient("https://orders.table.core.windows.net", credential=DefaultAzureCredential())
people = tables.get_table_client("pythonpeople")


def create():
    people.create_table()
    assert "pythonpeople" in [t.name for t in tables.list_tables()]


def insert():
    for key, age in [("1", 5), ("it's", 6)]:
        people.create_entity({"PartitionKey": "p", "RowKey": key, "age": age})


def get():
    assert people.get_entity("p", "it's")["age"] == 6


def update():
    people.update_entity({"PartitionKey": "p", "RowKey": "1", "name": "a"}, mode=UpdateMode.MERGE)
    assert people.get_entity("p", "1") == {"PartitionKey": "p", "RowKey": "1", "name": "a", "age": 5}


def query():
    found = people.query_entities("PartitionKey eq 'p' and age ge @least", parameters={"least": 6})
    assert [e["RowKey"] for e in found] == ["it's"]


def transaction():
    people.submit_transaction([("create", {"PartitionKey": "p", "RowKey": "3"}), ("delete", {"PartitionKey": "p", "RowKey": "1"})])
    assert sorted(e["RowKey"] for e in people.list_entities()) == ["3", "it's"]


def gone():
    people.delete_entity("p", "3")
    try:
        people.get_entity("p", "3")
    except ResourceNotFoundError:
        return
    raise AssertionError("expected ResourceNotFound, found no error")


def delete():
    people.delete_table()


main([create, insert, get, update, query, transaction, gone, delete])
