import subprocess
import sys

import pytest

HEAVY = ("numpy", "scipy", "numba", "h5py", "pynwb", "probeinterface", "gymnasium", "pandas", "matplotlib")
CODE = """
import sys
from wetloop.cli.main import main
code = main(sys.argv[2:])
loaded = [name for name in sys.argv[1].split(",") if name in sys.modules]
sys.exit(f"loaded: {loaded}" if loaded else code)
"""


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["replay", "--help"]])
def test_what_computes_nothing_imports_nothing_heavy(arguments):
    command = [sys.executable, "-c", CODE, ",".join(HEAVY), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout
