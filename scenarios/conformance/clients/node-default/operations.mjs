// Runs the operations of a program one by one, as the conformance table wants it.

export async function all(pages) {
  const items = [];
  for await (const item of pages) items.push(item);
  return items;
}

// The service's code for a call that has to fail.
export async function code(call) {
  try {
    await call;
  } catch (error) {
    return error.code ?? error.details?.errorCode ?? String(error);
  }
  return "no error";
}

export async function run(operations) {
  for (const [name, operation] of Object.entries(operations)) {
    try {
      await operation();
    } catch (error) {
      console.log(name, "failed", String(error).replace(/\s+/g, " "));
      process.exit(1);
    }
    console.log(name, "ok");
  }
  console.log("round done");
  for await (const _ of process.stdin);
  process.exit(0);
}
