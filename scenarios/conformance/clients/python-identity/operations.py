"""Runs the operations of a program one by one, as the conformance table wants it."""

import asyncio
import inspect
import sys


async def result(value):
    """What a call of a sync or async client returns."""
    return await value if inspect.isawaitable(value) else value


async def each(pages):
    return [item async for item in pages] if hasattr(pages, "__aiter__") else list(pages)


async def expect(code, call):
    """The service's code for a call that has to fail."""
    from azure.core.exceptions import HttpResponseError

    try:
        await result(call())
    except HttpResponseError as error:
        found = getattr(error, "error_code", None) or error.error.code  # of storage; of vaults
        assert found == code, f"expected {code}, found {found}"
        return
    raise AssertionError(f"expected {code}, found no error")


def token():
    """Says at once that the identity is refused: clients of storage try again for a minute."""
    from azure.identity import DefaultAzureCredential

    DefaultAzureCredential().get_token("https://storage.azure.com/.default")


async def run(operations):
    for operation in [token] + operations:
        try:
            await result(operation())
        except Exception as error:
            print(operation.__name__, "failed", type(error).__name__, " ".join(str(error).split()), flush=True)
            sys.exit(1)
        print(operation.__name__, "ok", flush=True)
    print("round done", flush=True)
    sys.stdin.read()


def main(operations):
    asyncio.run(run(operations))
