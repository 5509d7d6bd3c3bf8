"""What adlfs does with a container as a file system, each operation once."""

import random

import fsspec

from operations import main

fs = fsspec.filesystem("abfs", account_name="orders", anon=False)
root = "adlfs"
big = random.Random(1).randbytes(5 << 20)


def create():
    fs.mkdir(root)


def put():
    with fs.open(f"{root}/d/a.txt", "wb") as file:
        file.write(b"hello")
    assert fs.cat(f"{root}/d/a.txt") == b"hello"


def large():
    fs.pipe(f"{root}/big", big)
    assert fs.cat(f"{root}/big") == big
    with fs.open(f"{root}/big", "rb", block_size=1 << 20) as file:
        file.seek(3 << 20)
        assert file.read(100) == big[3 << 20 : (3 << 20) + 100]


def lists():
    assert sorted(fs.ls(root)) == [f"{root}/big", f"{root}/d"], fs.ls(root)
    assert fs.find(root) == [f"{root}/big", f"{root}/d/a.txt"], fs.find(root)
    assert fs.isdir(f"{root}/d") and fs.isfile(f"{root}/d/a.txt") and not fs.exists(f"{root}/none")
    assert fs.glob(f"{root}/**/*.txt") == [f"{root}/d/a.txt"]


def copy():
    fs.cp(f"{root}/d/a.txt", f"{root}/d/b.txt")
    fs.mv(f"{root}/d/b.txt", f"{root}/d/c.txt")
    assert fs.cat(f"{root}/d/c.txt") == b"hello" and not fs.exists(f"{root}/d/b.txt")


def delete():
    fs.rm(f"{root}/d", recursive=True)
    assert not fs.exists(f"{root}/d")
    fs.rm(root, recursive=True)


main([create, put, large, lists, copy, delete])
