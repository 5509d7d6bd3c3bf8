"""What azure-storage-queue does with queues, each operation once."""

from azure.identity import DefaultAzureCredential
from azure.storage.queue import QueueServiceClient

from operations import expect, main

queues = QueueServiceClient("https://orders.queue.core.windows.net", credential=DefaultAzureCredential())
jobs = queues.get_queue_client("python-jobs")


def create():
    jobs.create_queue(metadata={"owner": "me"})
    assert "python-jobs" in [q.name for q in queues.list_queues(include_metadata=True)]


def send():
    for text in ["one", "two & <three>"]:
        jobs.send_message(text)
    properties = jobs.get_queue_properties()
    assert properties.approximate_message_count == 2 and properties.metadata == {"owner": "me"}, properties


def peek():
    assert [m.content for m in jobs.peek_messages(max_messages=5)] == ["one", "two & <three>"]


def receive():
    first = jobs.receive_message(visibility_timeout=60)
    assert first.content == "one" and first.dequeue_count == 1, first
    changed = jobs.update_message(first, content="uno", visibility_timeout=0)
    again = jobs.receive_message(visibility_timeout=60)
    while again.content != "uno":  # queues promise no order
        again = jobs.receive_message(visibility_timeout=60)
    assert again.id == changed.id and again.dequeue_count == 2, again
    jobs.delete_message(again)


async def gone():
    await expect("MessageNotFound", lambda: jobs.delete_message("00000000-0000-4000-8000-000000000000", "AgAAAAMAAAAAAAAAAAAAAAAAAAA="))


def clear():
    jobs.clear_messages()
    assert jobs.get_queue_properties().approximate_message_count == 0


def delete():
    jobs.delete_queue()


main([create, send, peek, receive, gone, clear, delete])
