// What @azure/storage-queue does with queues, each operation once.
import assert from "node:assert";
import { DefaultAzureCredential } from "@azure/identity";
import { QueueServiceClient } from "@azure/storage-queue";
import { all, code, run } from "./operations.mjs";

const service = new QueueServiceClient("https://orders.queue.core.windows.net", new DefaultAzureCredential());
const name = `node${process.versions.node.split(".")[0]}-jobs`;
const jobs = service.getQueueClient(name);

await run({
  async create() {
    await jobs.create({ metadata: { owner: "me" } });
    assert((await all(service.listQueues({ includeMetadata: true }))).some((q) => q.name === name));
  },
  async send() {
    for (const text of ["one", "two & <three>"]) await jobs.sendMessage(text);
    const p = await jobs.getProperties();
    assert.equal(p.approximateMessagesCount, 2);
    assert.deepEqual(p.metadata, { owner: "me" });
  },
  async peek() {
    assert.deepEqual((await jobs.peekMessages({ numberOfMessages: 5 })).peekedMessageItems.map((m) => m.messageText), ["one", "two & <three>"]);
  },
  async receive() {
    const [first] = (await jobs.receiveMessages({ visibilityTimeout: 60 })).receivedMessageItems;
    assert.equal(first.messageText, "one");
    await jobs.updateMessage(first.messageId, first.popReceipt, "uno", 0);
    const again = (await jobs.receiveMessages({ numberOfMessages: 5 })).receivedMessageItems.find((m) => m.messageId === first.messageId);
    assert.equal(again.messageText, "uno");
    assert.equal(again.dequeueCount, 2);
    await jobs.deleteMessage(again.messageId, again.popReceipt);
  },
  async gone() {
    assert.equal(await code(jobs.deleteMessage("00000000-0000-4000-8000-000000000000", "AgAAAAMAAAAAAAAAAAAAAAAAAAA=")), "MessageNotFound");
  },
  async clear() {
    await jobs.clearMessages();
    assert.equal((await jobs.getProperties()).approximateMessagesCount, 0);
  },
  async delete() {
    await jobs.delete();
  },
});
