#!/usr/bin/env python3
"""An array goes to PowerShell, is changed there, and comes back without a copy in Python."""

import sys

from virtualshell import Shell, ZeroCopyBridge

try:
    import numpy
except ImportError:
    sys.exit(print("NumPy is not installed: nothing to show"))

image = numpy.arange(256 * 256, dtype="uint8").reshape(256, 256)

INVERT = """
for ($i = 0; $i -lt $image.Length; $i++) { $image[$i] = $image[$i] -bxor 255 }
"""

with Shell() as shell, ZeroCopyBridge(shell) as bridge:
    bridge.send(image, "$image")
    shell.run(INVERT, local_scope=True, raise_on_error=True)
    view = bridge.receive("$image", return_memoryview=True)

inverted = numpy.frombuffer(view, dtype="uint8").reshape(image.shape)
print(f"first pixels before {image[0, :4]} and after {inverted[0, :4]}")
assert (inverted == 255 - image).all()
