"""Wheels for Linux: tag one by what it asks for, show what is inside, and see whether musl's loader finds its symbols.

python tests/ports/wheel.py tag linux.whl manylinux_2_28_aarch64 FOLDER
python tests/ports/wheel.py show tagged.whl
python tests/ports/wheel.py loads tagged.whl qemu-aarch64 ld-musl-aarch64.so.1
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection

LIMIT = 3e6  # bytes of a wheel


def tag(wheel, platform, folder):
    """Ask auditwheel for what a wheel fits, which must be no more than a platform has, and write it under that tag.

    Nothing is to be repaired: the modules need the C library alone.
    """
    done = subprocess.run(
        [sys.executable, "-m", "auditwheel", "show", wheel], capture_output=True, text=True, check=True
    )
    text = " ".join(done.stdout.split())
    print(f"auditwheel: {text}")
    found = re.search(r'platform tag: "(m[a-z]+linux)_(\d+)_(\d+)_(\w+)"', text)
    assert found, "auditwheel names no tag"
    kind, major, minor, arch = found.groups()
    fits = f"{kind}_{major}_{minor}_{arch}"
    wanted = re.fullmatch(r"(m[a-z]+linux)_(\d+)_(\d+)_(\w+)", platform).groups()
    assert (kind, arch) == (wanted[0], wanted[3]), f"expected {platform}. Received: {fits}."
    assert (int(major), int(minor)) <= (int(wanted[1]), int(wanted[2])), f"expected {platform}. Received: {fits}."
    os.makedirs(folder, exist_ok=True)
    shutil.copy(wheel, folder)
    tags = ".".join(sorted({fits, platform}))
    copied = Path(folder, Path(wheel).name)
    subprocess.run([sys.executable, "-m", "wheel", "tags", "--remove", "--platform-tag", tags, copied], check=True)


def modules(wheel, folder):
    """Unpack the compiled modules of a wheel; returns their paths."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(".so")]
        archive.extractall(folder, names)
    assert names, f"{wheel} holds nothing that was compiled"
    return sorted(Path(folder, name) for name in names)


def looked_at(path):
    """Return the names that a module gives, those that it asks for, libraries, and versions of symbols."""
    with path.open("rb") as file:
        elf = ELFFile(file)
        symbols = list(elf.get_section_by_name(".dynsym").iter_symbols())
        real = [s for s in symbols if s.name and s["st_info"]["bind"] in ("STB_GLOBAL", "STB_WEAK")]
        given = {s.name for s in real if s["st_shndx"] != "SHN_UNDEF"}
        wanted = {s.name for s in real if s["st_shndx"] == "SHN_UNDEF" and s["st_info"]["bind"] == "STB_GLOBAL"}
        libraries, versions = set(), set()
        for section in elf.iter_sections():
            if isinstance(section, DynamicSection):
                libraries |= {t.needed for t in section.iter_tags() if t.entry.d_tag == "DT_NEEDED"}
            if isinstance(section, GNUVerNeedSection):
                versions |= {aux.name for _, several in section.iter_versions() for aux in several}
    return given, wanted, libraries, versions


def newest(versions):
    """Return the newest of GLIBC_2.17, GLIBC_2.2.5 ..., or nothing."""
    return max(versions, key=lambda v: [int(i) for i in re.findall(r"\d+", v)], default="")


def show(wheel):
    """Print sizes, names that modules give, libraries and the newest symbols; refuse a wheel that is too large."""
    size = os.path.getsize(wheel)
    print(f"{Path(wheel).name}: {size / 1e6:.2f} MB")
    total = [set(), set(), set(), set()]
    with tempfile.TemporaryDirectory() as folder:
        for path in modules(wheel, folder):
            found = looked_at(path)
            total = [a | b for a, b in zip(total, found, strict=True)]
            inner = sorted(name for name in found[0] if not name.startswith("PyInit_"))
            print(f"  {path.relative_to(folder)}: {path.stat().st_size / 1e3:.0f} kB, gives {len(found[0])} symbols")
            assert not inner, f"{path.name} gives more than its module: {inner[:5]}"
    own = sorted(name for name in total[1] if not name.startswith(("Py", "_Py")))
    libraries, symbols = ", ".join(sorted(total[2])) or "none", newest(total[3]) or "unversioned"
    print(f"  libraries: {libraries}; newest symbols: {symbols}; {len(own)} symbols of libc and libm")
    assert size <= LIMIT, "the wheel is larger than 3 MB"


def loads(wheel, *loader):
    """Let musl's loader look for every symbol of every module; only those of Python may be missing."""
    with tempfile.TemporaryDirectory() as folder:
        paths = modules(wheel, folder)
        for path in paths:
            done = subprocess.run([*loader, "--list", path], capture_output=True, text=True)
            missing = set(re.findall(r"Error relocating .*: (\w+): symbol not found", done.stderr))
            others = [line for line in done.stderr.splitlines() if "symbol not found" not in line]
            strange = sorted(name for name in missing if not name.startswith(("Py", "_Py")))
            assert missing, f"{path.name}: expected symbols of Python to be missing. Received: {done.stdout}"
            assert not strange, f"{path.name}: {strange[:5]}"
            assert not others, f"{path.name}: {others[:5]}"
    found = f"{Path(loader[-1]).name} finds all symbols of {len(paths)} modules but Python's"
    print(f"not imported, as there is no Python for it here: {found}")


if __name__ == "__main__":
    {"tag": tag, "show": show, "loads": loads}[sys.argv[1]](*sys.argv[2:])
